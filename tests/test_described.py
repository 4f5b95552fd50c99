"""The repr of the objects of the public API."""

import inspect
from importlib import import_module

import pytest

from flowtools.core.described import Described
from flowtools.multiparser import MultiParser
from flowtools.source.asset import AssetEntryListener
from flowtools.source.browse import Browse
from flowtools.source.custom import CustomSource
from flowtools.source.interval import Interval
from flowtools.source.local import STDIN
from flowtools.source.location import UnmanagedFilesListener
from flowtools.source.stomp import GenericStompListener
from flowtools.source.watch import HotFolder
from flowtools.stomp.settings import Settings as StompSettings
from flowtools.stomp.url import parse_url
from flowtools.vizone import Account, Client, Locked
from flowtools.vizone.plugindata import PluginData
from tests.vizone_servers import client_of, stand_in

MODULES = [
    "flowtools.event",
    "flowtools.multiparser",
    "flowtools.transferplugin",
    "flowtools.vizone",
    "flowtools.compat",
]


def public_classes():
    for name in MODULES:
        module = import_module(name)
        listed = getattr(module, "__all__", ())
        for each in listed or dir(module):
            found = getattr(module, each)
            home = "flowtools" if listed else name
            is_ours = inspect.isclass(found) and found.__module__.startswith(home)
            # Sources are created by their commands and not used interactively.
            is_ours = is_ours and not hasattr(found, "run")
            if is_ours and not each.startswith("_") and not getattr(found, "_is_protocol", False):
                yield found


@pytest.mark.parametrize("kind", sorted(set(public_classes()), key=str), ids=lambda kind: str(kind))
def test_every_public_class_defines_its_repr(kind):
    assert kind.__repr__ is not object.__repr__


def test_the_repr_of_an_asset_shows_id_and_title():
    with stand_in() as server, client_of(server) as client:
        asset = client.assets.create("News")
        assert repr(asset) == f"<Asset id='{asset.id}' title='News' status='empty'>"
        assert repr(client) == f"<Client of 'admin' at '{server.url}'>"
        assert server.password not in repr(client.assets)


def test_no_repr_shows_a_password():
    client = Client(Account("http://h", "anna", "s3cret"))
    data = PluginData.read(
        "<data><sourceurl>ftp://u:s3cret@h/a</sourceurl></data>",
    )
    for each in (client, client.assets, client.store("x"), data):
        assert "s3cret" not in repr(each)


def test_a_parser_shows_its_type_and_format():
    parser = MultiParser(type="date", format="%Y/%m/%d")
    assert repr(parser) == "<MultiParser type='date' format='%Y/%m/%d'>"


def test_a_long_key_is_shortened():
    assert repr(Locked("k" * 1000)) == "<Locked key='" + "k" * 79 + "...>"


def test_attributes_that_cannot_be_read_are_left_out():
    class Broken(Described):
        FACTS = ("here", "broken", "missing")
        here = 1

        @property
        def broken(self):
            raise OSError("no")

    assert repr(Broken()) == "<Broken here=1>"


def test_the_repr_of_a_source_shows_its_address_without_login():
    url = parse_url("stomp://anna@mq:61613/?destination=/queue/a")
    account = Account("http://h", "anna", "s3cret")
    shown = {
        repr(GenericStompListener(url, StompSettings(password="s3cret"), count=2)),
        repr(Browse(url, StompSettings(password="s3cret"))),
        repr(AssetEntryListener(account)),
        repr(UnmanagedFilesListener(account, "in")),
        repr(HotFolder("/media")),
        repr(Interval(60)),
        repr(STDIN("json")),
        repr(CustomSource(object(), "mymod:Shares")),
    }
    assert shown == {
        "<GenericStompListener url='stomp://mq:61613/?destination=/queue/a' count=2>",
        "<Browse url='stomp://mq:61613/?destination=/queue/a'>",
        "<AssetEntryListener url='http://h'>",
        "<UnmanagedFilesListener location='in' url='http://h'>",
        "<HotFolder path='/media'>",
        "<Interval name='60s'>",
        "<STDIN form='json'>",
        "<CustomSource name='mymod:Shares'>",
    }

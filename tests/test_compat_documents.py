"""flowtools.compat: documents written back keep what the server had, and lists take effect."""

import json
from types import SimpleNamespace

import pytest

from flowtools import compat
from flowtools.compat.merge import Collision, rebase
from flowtools.compat.received import old_object
from flowtools.core.errors import ConfigurationError
from flowtools.event import Event
from flowtools.vizone.document import parse, serialise
from tests.running import finish
from tests.vizone_servers import Scripted, client_at, client_of, reply, stand_in

pytest_plugins = ["tests.run_fixtures"]

PUTS_BACK = """\
from flowtools.compat import AssetEntryListener, Flow, NeedsClient, UnmanagedFilesListener


class PutsBack(Flow, NeedsClient):
    SOURCE = AssetEntryListener

    def start(self, asset):
        self.client.PUT(asset.edit_link, asset)


class Renames(PutsBack):
    def start(self, asset):
        asset.title = asset.title + '!'
        super().start(asset)


class OnFiles(Flow):
    SOURCE = UnmanagedFilesListener

    def start(self, f):
        with open('documents', 'ab') as file:
            file.write(f.generate() + b'\\n')
"""

RIGHTS = {"Editors": frozenset({"read", "write"})}


@pytest.fixture
def app(tmp_path):
    (tmp_path / "app.py").write_text(PUTS_BACK)
    return tmp_path


def guarded(server, client):
    """An asset with rights that must not be lost."""
    asset = client.assets.create("One", "site-1")
    return client.assets.set_group_permissions(asset, "Editors", ["read", "write"], ["read"])


def rights(client):
    asset = client.assets.find_one("site-1")
    return asset.permissions("asset"), asset.permissions("media")


@pytest.mark.parametrize("name", ["PutsBack", "Renames"])
def test_an_asset_put_by_flow_run_keeps_its_rights(app, go, name):
    with stand_in() as server, client_of(server) as client:
        guarded(server, client)
        before = rights(client)
        assert before == (RIGHTS, {"Editors": frozenset({"read"})})
        args = ["--since", "1d", "--count", 1]
        assert finish(go(f"app:{name}", *args, cwd=app, env=server.environment())) == (0, [], "")
        assert rights(client) == before
        title = client.assets.find_one("site-1").title
        assert title == ("One!" if name == "Renames" else "One")


@pytest.mark.parametrize("option", ["", "--xml"])
def test_an_asset_put_in_a_pipe_keeps_its_rights(app, shell, variables, option):
    with stand_in() as server, client_of(server) as client:
        guarded(server, client)
        before = rights(client)
        line = f"flow-listen-assets --since 1d --count 1 {option} | flow-work app:Renames"
        env = variables | server.environment() | {"PYTHONPATH": str(app)}
        assert shell(line, cwd=app, **env)[0] == 0
        assert rights(client) == before
        assert client.assets.find_one("site-1").title == "One!"


def test_a_file_event_has_the_entry_of_its_file(app, go):
    with stand_in(files=1, rate=100) as server:
        args = ["--set", "Source.location=xmlimport", "--set", "Source.skip empty files=yes"]
        process = go("app:OnFiles", *args, "--count", 1, cwd=app, env=server.environment())
        assert finish(process) == (0, [], "")
    (document,) = (app / "documents").read_bytes().split(b"<?xml")[1:]
    assert b"fileSize" in document
    assert b"published" in document or b"updated" in document


def test_flow_listen_files_adds_the_entry_with_xml(shell, variables):
    with stand_in(files=1, rate=100) as server:
        line = "flow-listen-files xmlimport --xml --skip-empty --settle 0.1 --count 1"
        status, out, _ = shell(line, **(variables | server.environment()))
    assert status == 0
    data = json.loads(out)["data"]
    entry = compat.UnmanagedFile(data["xml"])
    assert (entry.title, entry.media.filesize) == (data["name"], data["size"])


# Objects of events


def event_of(asset, **more):
    """The event of an asset's entry, as a source with `--xml` makes it."""
    data = {
        "id": asset.id,
        "title": asset.title,
        "links": {"self": asset.self_link, "edit": asset.edit_link},
    }
    return Event("flow.asset.changed", data | more, source=asset.self_link)


def received(client, asset, *, xml=True, **headers):
    event = event_of(asset, headers=headers)
    if xml:
        event.data["xml"] = serialise(asset.element).decode().partition("?>")[2]
    return old_object(event, client.GET)


@pytest.fixture
def one():
    with stand_in() as server, client_of(server) as client:
        yield SimpleNamespace(
            server=server, client=compat.Client(client), assets=client.assets, vizone=client
        )


def test_changes_by_others_since_the_message_are_kept(one):
    asset = guarded(one.server, one.vizone)
    item = received(one.client, asset)
    one.assets.set_group_permissions(asset, "Guests", ["read"], None)
    item.keywords.append(compat.AtomCategory("s", "t"))
    one.client.PUT(item.edit_link, item)
    assert rights(one.vizone)[0] == RIGHTS | {"Guests": frozenset({"read"})}
    assert one.assets.find_one("site-1").keywords == [("s", "t")]
    # It continues from the stored version.
    assert [each.name for each in item.acl.groupentries] == ["Editors", "Guests"]
    one.assets.set_group_permissions(one.assets.find_one("site-1"), "Crew", ["read"], None)
    item.title = "Two"
    one.client.PUT(item.edit_link, item)
    assert set(rights(one.vizone)[0]) == {"Editors", "Guests", "Crew"}
    assert one.assets.find_one("site-1").title == "Two"


def test_the_same_part_changed_twice_is_a_conflict(one):
    asset = guarded(one.server, one.vizone)
    item = received(one.client, asset)
    one.server.catalogue.update(asset.identifiers["id"], title="Theirs")
    item.title = "Ours"
    with pytest.raises(compat.HTTPClientError, match="somebody else has changed its 'title'") as e:
        one.client.PUT(item.edit_link, item)
    assert e.value.response.status_code == 409
    assert one.client.PUT(item.edit_link, item, check_status=False).status_code == 409
    assert one.assets.find_one("site-1").title == "Theirs"
    item.parse(one.client.GET(item.self_link))
    item.title = "Ours"
    one.client.PUT(item.edit_link, item)
    assert one.assets.find_one("site-1").title == "Ours"


def test_a_change_that_cannot_be_merged_is_not_tried_again():
    with Scripted() as server, client_at(server.url) as one:
        mine = entry_of(server.url, "a", "<a:title>One</a:title>")
        server.replies += [reply(mine.replace("One", "Theirs").encode(), ETag='"7"')]
        data = {"xml": mine, "links": {}, "headers": {}}
        client = compat.Client(one)
        item = old_object(Event("flow.asset.changed", data, source=server.url), client.GET)
        item.title = "Ours"
        with pytest.raises(compat.HTTPClientError, match="has changed its 'title'"):
            client.PUT(item.edit_link, item)
        assert [each.partition(" ")[0] for each in server.requests] == ["GET"]


def test_the_etag_of_a_message_is_used_and_a_stale_one_causes_no_conflict(one):
    asset = guarded(one.server, one.vizone)
    item = received(one.client, asset, etag=asset.etag)
    one.server.catalogue.update(asset.identifiers["id"], keywords=(("s", "t"),))
    item.title = "Two"
    one.client.PUT(item.edit_link, item)
    stored = one.assets.find_one("site-1")
    assert (stored.title, stored.keywords) == ("Two", [("s", "t")])


def test_a_document_that_was_read_is_put_conditionally_by_its_etag(one):
    asset = guarded(one.server, one.vizone)
    item = compat.Item(one.client.GET(asset.self_link))
    one.server.catalogue.update(asset.identifiers["id"], keywords=(("s", "t"),))
    item.title = "Two"
    with pytest.raises(compat.HTTPClientError) as caught:
        one.client.PUT(item.edit_link, item)
    assert caught.value.response.status_code == 409
    url = asset.metadata_link
    mine, theirs = (compat.Payload(one.client.GET(url)) for _ in range(2))
    for number in range(2):
        mine.set("asset.synopsis", f"mine {number}")
        one.client.PUT(url, mine)  # The second time with the etag of the first answer.
    theirs.set("asset.title", "theirs")
    with pytest.raises(compat.HTTPClientError):
        one.client.PUT(url, theirs)
    assert one.vizone.metadata(url)["asset.synopsis"] == "mine 1"


def test_an_asset_without_its_document_is_fetched_before_a_change(one):
    asset = guarded(one.server, one.vizone)
    item = received(one.client, asset, xml=False)
    assert [each.name for each in item.acl.groupentries] == ["Editors"]
    item = received(one.client, asset, xml=False)
    item.keywords.append(compat.AtomCategory("s", "t"))
    item.acl.groupentries.append(compat.AclEntry("Guests", read=True))
    one.client.PUT(item.edit_link, item)
    assert rights(one.vizone)[0] == RIGHTS | {"Guests": frozenset({"read"})}
    assert one.assets.find_one("site-1").keywords == [("s", "t")]


def test_an_asset_whose_document_cannot_be_fetched_is_not_put(one):
    asset = guarded(one.server, one.vizone)

    def fetch(url):
        raise ConfigurationError("VIZONE_URL is not set")

    item = old_object(event_of(asset), fetch)
    assert (item.title, item.atomid) == ("One", asset.id)
    for act in (
        lambda: one.client.PUT(item.edit_link, item),
        lambda: item.acl.groupentries,
        lambda: item.acl.groupentries.append(compat.AclEntry("x")),
        lambda: item.keywords.append(compat.AtomCategory("s", "t")),
        item.generate,
    ):
        with pytest.raises(ConfigurationError, match=r"carries no document.* listen with --xml"):
            list(act() or ())
    assert rights(one.vizone)[0] == RIGHTS


def entry_of(url, prefix, more=""):
    return f"""<{prefix}:entry xmlns:{prefix}="http://www.w3.org/2005/Atom"
        xmlns:r="http://www.vizrt.com/2012/acl"><{prefix}:id>urn:1</{prefix}:id>{more}
        <x xmlns="urn:x" y="1">kept<!-- c --></x><{prefix}:link rel="self" href="{url}/1"/>
        <{prefix}:link rel="describedby" href="{url}/1/m"><{prefix}:inline>
        <payload xmlns="http://www.vizrt.com/types"/></{prefix}:inline></{prefix}:link>
        <r:asset><r:group name="Editors" read="1"/><r:user name="anna" read="1"/><r:other/>
        </r:asset></{prefix}:entry>"""


def test_everything_in_the_message_is_sent_back():
    with Scripted() as server, client_at(server.url) as one:
        # The stored entry has another prefix, and a part added after the message.
        stored = entry_of(server.url, "b", "<new xmlns='urn:x'/>").encode()
        server.replies += [reply(stored, ETag='"7"'), reply(b"", ETag='"8"')]
        data = {"xml": entry_of(server.url, "a"), "links": {}, "headers": {}}
        client = compat.Client(one)
        item = old_object(Event("flow.asset.changed", data, source=server.url), client.GET)
        item.acl.groupentries[0].write = True
        item.acl.userentries[0].admin = True
        client.PUT(item.edit_link, item)
        assert 'if-match: "7"' in server.requests[1].lower()
        sent = server.bodies[1].decode()
        for kept in (">kept<!-- c -->", "other", "new", 'name="anna"', 'write="1"', 'admin="1"'):
            assert kept in sent
        assert "inline" not in sent
        assert item.response_etag == '"8"'


def test_an_item_of_a_message_is_merged_into_the_stored_entry(one):
    asset = guarded(one.server, one.vizone)
    message = compat.Message({"identity": asset.id}, serialise(asset.element))
    item = compat.Item(message)
    one.assets.set_group_permissions(asset, "Guests", ["read"], None)
    item.title = "Two"
    one.client.PUT(item.edit_link, item)
    assert set(rights(one.vizone)[0]) == {"Editors", "Guests"}
    assert one.assets.find_one("site-1").title == "Two"


def test_an_explicit_etag_is_used(one):
    asset = guarded(one.server, one.vizone)
    item = compat.Item(one.client.GET(asset.self_link, {"X-Inline": "describedby"}))
    item.title = "Two"
    with pytest.raises(compat.HTTPClientError):
        one.client.PUT(item.edit_link, item, etag='"other"')
    one.client.PUT(item.edit_link, item, etag=item.response_etag)
    assert one.assets.find_one("site-1").title == "Two"
    assert rights(one.vizone)[0] == RIGHTS


def test_a_document_put_to_another_address_is_sent_unchanged(one):
    asset = guarded(one.server, one.vizone)
    other = one.assets.create("Other", "site-2")
    item = received(one.client, asset)
    item.id = "site-2"
    one.client.PUT(other.edit_link, item)
    assert one.assets.find_one("site-2").permissions("asset") == RIGHTS


# Changes on both sides


def entry_with(*parts):
    names = 'xmlns="http://www.w3.org/2005/Atom" xmlns:acl="http://www.vizrt.com/2012/acl"'
    return parse(f"<entry {names}>{''.join(parts)}</entry>".encode(), name="x")


TITLE, OTHER = "<title>One</title>", "<title>Two</title>"
TAG, TAG2 = '<category scheme="s" term="t"/>', '<category scheme="s" term="u"/>'
LINE = '<acl:group name="a" read="1"/>'
LINE2 = '<acl:group name="b" read="1"/>'


def acl(*lines):
    return f"<acl:asset>{''.join(lines)}</acl:asset>"


@pytest.mark.parametrize(
    ("base", "mine", "now", "result"),
    [
        ([TITLE], [OTHER], [TITLE, TAG], [OTHER, TAG]),
        ([TITLE, TAG], [TITLE], [OTHER, TAG], [OTHER]),
        ([TITLE], [TITLE, TAG], [TITLE, TAG2], [TITLE, TAG2, TAG]),
        ([TITLE], [OTHER], [OTHER], [OTHER]),
        ([acl(LINE)], [acl(LINE, LINE2)], [acl(LINE)], [acl(LINE, LINE2)]),
        ([acl(LINE)], [acl()], [acl(LINE, LINE2)], [acl(LINE2)]),
        ([], [acl(LINE)], [TITLE], [TITLE, acl(LINE)]),
        (["<x>a</x>", "<x>b</x>"], ["<x>a</x>", "<x>c</x>"], ["<x>a</x>", "<x>b</x>"],
         ["<x>a</x>", "<x>c</x>"]),
    ],
)  # fmt: skip
def test_rebase_merges_the_changes_of_both_sides(base, mine, now, result):
    found = rebase(*(entry_with(*each) for each in (base, mine, now)))
    assert serialise(found) == serialise(entry_with(*result))


@pytest.mark.parametrize(
    ("base", "mine", "now"),
    [
        ([TITLE], [OTHER], ["<title>Three</title>"]),
        ([acl(LINE)], [acl()], [acl(LINE.replace('"1"', '"0"'))]),
        ([TITLE, "<x>a</x>"], [TITLE, "<x>b</x>"], [TITLE]),
    ],
)
def test_rebase_raises_collision_if_both_sides_changed_the_same_part(base, mine, now):
    with pytest.raises(Collision):
        rebase(*(entry_with(*each) for each in (base, mine, now)))


# Lists, and what cannot be set


def test_changes_to_the_keywords_of_an_item_take_effect():
    item = compat.Item(id="site-1")
    item.keywords.append(compat.AtomCategory(scheme="s", term="t"))
    item.keywords += [("s", "u"), (None, "v")]
    item.keywords.remove(("s", "u"))
    assert item.keywords == [("s", "t"), (None, "v")]
    assert b'term="t"' in item.generate()
    assert item.keywords[0].scheme == "s"
    del item.keywords[:]
    assert (len(item.keywords), b"category" in item.generate()) == (0, False)
    for wrong in ("ab", compat.Link("x"), ("s",)):
        with pytest.raises(TypeError, match="a keyword is an AtomCategory"):
            item.keywords.append(wrong)


def test_changes_to_an_access_control_list_take_effect():
    item = compat.Item(id="site-1")
    line = compat.AclEntry(name="Editors", read=True)
    item.acl.groupentries.append(line)
    line.write = True
    item.mediaacl.groupentries.append(compat.AclEntry("Crew", admin=True))
    again = compat.Item(item.generate())
    assert again.acl.groupentries == [compat.AclEntry("Editors", read=True, write=True)]
    assert [(e.name, e.read, e.admin) for e in again.mediaacl.groupentries] == [
        ("Crew", False, True)
    ]
    for each in again.acl.groupentries:
        each.read = False
    again.acl.groupentries.insert(0, compat.AclEntry("First"))
    assert repr(again.acl.groupentries) == "[<AclEntry 'First' >, <AclEntry 'Editors' write>]"
    taken = again.acl.groupentries.pop()
    assert (taken.name, len(again.acl.groupentries)) == ("Editors", 1)
    with pytest.raises(LookupError, match="no line for 'Editors' any more"):
        taken.read = True
    again.acl.groupentries = [e for e in again.acl.groupentries if e.name != "First"]
    assert again.acl.groupentries == []
    with pytest.raises(TypeError):
        again.acl.groupentries.append("Editors")
    with pytest.raises(AttributeError):
        line.reed = True


def test_removing_lines_that_do_not_exist_leaves_the_document_unchanged():
    item = compat.Item(b'<entry xmlns="http://www.w3.org/2005/Atom"><title>One</title></entry>')
    before = item.generate()
    assert not compat.set_group_permissions(item.acl, "Guests", False, False, False)
    item.acl.groupentries.clear()
    item.acl.groupentries = []
    assert item.generate() == before


def test_an_access_control_list_can_be_assigned_to_an_item():
    given = compat.Acl([compat.AclEntry("Editors", read=True)])
    item = compat.Item(id="site-1")
    item.acl = item.mediaacl = given
    assert item.acl.groupentries == item.mediaacl.groupentries == given.groupentries
    assert compat.set_group_permissions(item.mediaacl, "Editors", False, False, False)
    assert (len(item.mediaacl.groupentries), len(item.acl.groupentries)) == (0, 1)
    item.acl = item.acl
    assert len(item.acl.groupentries) == 1


def test_setting_a_read_only_attribute_is_refused_with_a_hint():
    item = compat.Item(id="site-1", title="One")
    item.title, item.id = "Two", "site-2"
    assert (item.title, item.id) == ("Two", "site-2")
    for name in ("materialtype", "category", "self_link", "anything"):
        with pytest.raises(AttributeError, match=f"cannot set '{name}' of Item"):
            setattr(item, name, "x")
    for name in ("assetmediatype", "mediastatus", "atomid"):
        with pytest.raises(AttributeError):
            setattr(item, name, "x")
    with pytest.raises(AttributeError, match="Item has no 'rightscode'"):
        _ = item.rightscode


def test_only_the_login_of_the_session_can_be_set(one):
    client = one.client
    asset = one.assets.create("One")
    client.session.auth = ("admin", "wrong")
    with pytest.raises(compat.HTTPClientError) as caught:
        client.GET(asset.self_link)
    assert caught.value.response.status_code in (401, 403)
    client.session.auth = (one.server.user, one.server.password)
    assert client.session.auth == (one.server.user, one.server.password)
    assert client.GET(asset.self_link).status_code == 200
    with pytest.raises(AttributeError, match=r"client\.session\.verify"):
        client.session.verify = False
    client.close()
    assert client.GET(asset.self_link).status_code == 200


def test_metadata_assigned_to_a_link_can_be_read():
    item = compat.Item(
        b'<entry xmlns="http://www.w3.org/2005/Atom"><link rel="describedby" href="http://x/m"/>'
        b"</entry>"
    )
    assert item.describedby_link.metadata is None
    form = '<payload xmlns="http://www.vizrt.com/types"><field name="a"><value>b</value></field>'
    item.describedby_link.metadata = compat.Payload(form + "</payload>")
    assert item.describedby_link.metadata.get("a") == "b"
    assert compat.Item(item.generate()).describedby_link.metadata.get("a") == "b"


def test_a_value_that_is_not_a_document_is_named():
    for wrong in (None, 3, ["x"]):
        with pytest.raises(TypeError, match="cannot read the file from"):
            compat.UnmanagedFile(wrong)
    with client_at("http://one.example") as one, pytest.raises(TypeError, match="send Message"):
        compat.Client(one).POST("http://one.example/x", compat.Message({}, "x"))

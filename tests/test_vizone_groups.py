"""Series, programs, folders, aggregates, thesauri: in flowtools.vizone and with the old classes."""

from types import SimpleNamespace

import pytest

from flowtools import compat
from flowtools.errors import ProtocolError
from flowtools.vizone.errors import ConflictError, NotFoundError
from flowtools.vizone.groups import Group, uri_list
from tests.vizone_servers import Scripted, client_at, client_of, reply, stand_in


@pytest.fixture
def one():
    with stand_in() as server, client_of(server) as client:
        ids = [server.catalogue.create(f"Item {number}").urn for number in range(30)]
        yield SimpleNamespace(
            server=server, client=client, groups=client.groups, ids=ids, old=compat.Client(client)
        )


def members(one, group):
    return [each.id for each in one.groups.members(group)]


@pytest.mark.parametrize("kind", ["series", "season", "program", "folder"])
def test_members_are_added_in_order_and_removed(one, kind):
    made = one.groups.create(kind, "News", "site-1")
    assert (made.title, made.identifier) == ("News", "site-1")
    one.groups.add(made, one.ids[:28])
    one.groups.add(made, one.ids[28:])
    one.groups.add(made, [])
    # More than a page of them.
    assert members(one, made) == one.ids
    assert one.groups.remove(made, one.ids[3])
    assert not one.groups.remove(made, one.ids[3])
    assert members(one, made) == one.ids[:3] + one.ids[4:]
    # The asset itself still exists.
    assert one.client.assets.find_one(one.ids[3]) is not None
    assert [each.id for each in one.groups.find(kind)] == [made.id]
    one.groups.delete(made)
    with pytest.raises(NotFoundError):
        one.groups.get(made.self_link)


def test_an_aggregate_has_its_members_in_its_entry(one):
    made = one.groups.create("aggregate-asset", "Both")
    assert (made.listed, made.members_link) == ([], None)
    arranged = one.groups.arrange(made, [one.ids[2], one.ids[1]])
    assert arranged.listed == [one.ids[2], one.ids[1]]
    assert one.groups.get(made.self_link).listed == arranged.listed
    with pytest.raises(ConflictError):
        one.groups.arrange(made, [])
    with pytest.raises(ValueError, match="line break"):
        one.groups.arrange(arranged, [f"{one.ids[1]}\n{one.ids[2]}"])


def test_removing_a_member_without_its_own_link_deletes_no_other_resource():
    atom = 'xmlns="http://www.w3.org/2005/Atom"'
    with Scripted() as server, client_at(server.url) as client:
        feed = (
            f"<feed {atom}><id>f</id><entry><id>urn:1</id>"
            f'<link rel="edit" href="{server.url}/asset/1"/></entry></feed>'
        )
        entry = f'<entry {atom}><id>g</id><link rel="down" href="{server.url}/m"/></entry>'
        group = Group(compat.Item(entry).entry.element)
        server.replies += [reply(feed.encode()), reply(feed.encode())]
        with pytest.raises(ProtocolError, match="cannot remove 'urn:1' from 'g'"):
            client.groups.remove(group, "urn:1")
        with pytest.raises(ProtocolError, match="it has no link for a new member"):
            client.groups.add(group, ["urn:2"])
        assert [each.partition(" ")[0] for each in server.requests] == ["GET", "GET"]
    with pytest.raises(ValueError, match="line break"):
        uri_list(["urn:1\nurn:2"])


def test_a_thesaurus_is_read_like_a_dictionary(one):
    assert one.client.thesauri.term("category", "news").label == "News"
    with pytest.raises(NotFoundError):
        one.client.thesauri.terms("nothing")


# With the old classes


def test_an_old_class_adds_members_to_a_series(one):
    made = one.groups.create("series", "News")
    series = compat.Series(one.old.GET(made.self_link))
    assert (series.title, series.addmembers.add_last_link) == ("News", None)
    feed = compat.Members(one.old.GET(series.down_link))
    one.old.POST(feed.addmembers.add_last_link, compat.UriList(one.ids))
    found = compat.Members(one.old.GET(series.down_link))
    assert len(found.entries) < len(one.ids)
    every = list(compat.FeedIterator(found, one.old))
    assert [each.atomid for each in every] == one.ids
    assert every[0].edit_link is None
    one.old.DELETE(every[0].delete_link)
    assert members(one, made) == one.ids[1:]
    for kind, old in (("program", compat.Program), ("folder", compat.Folder)):
        group = one.groups.create(kind, "x")
        assert old(one.old.GET(group.self_link)).id == group.id


def test_an_old_class_arranges_an_aggregate(one):
    made = one.groups.create("aggregate-asset", "Both")
    both = compat.ItemSet(one.old.GET(made.self_link))
    both.content = [*both.content, one.ids[1], one.ids[0]]
    one.old.PUT(both.edit_link, both)
    assert one.groups.get(made.self_link).listed == [one.ids[1], one.ids[0]]
    with pytest.raises(AttributeError):
        both.content.append(one.ids[2])


def test_an_old_class_iterates_over_feeds(one):
    feed = compat.get_assets(client=one.old)
    assert [each.atomid for each in compat.FeedIterator(feed, one.old)] == one.ids
    places = compat.get_unmanaged_files(client=one.old)
    (place,) = [each for each in places.entries if each.id == "xmlimport"]
    for number in range(30):
        one.server.catalogue.put_file("xmlimport", f"{number:02}.mxf", b"x")
    files = compat.UnmanagedFileCollection(one.old.GET(place.down_link))
    assert files.monitor_link.href.startswith("stomp://")
    names = sorted(each.title for each in compat.FeedIterator(files, one.old))
    assert names == [f"{number:02}.mxf" for number in range(30)]


def test_an_old_class_reads_dictionaries_and_models(one):
    url = f"{one.server.url}/api/metadata/dictionary/~category"
    terms = compat.Dictionary(one.old.GET(url))
    (term,) = [each for each in terms.entries if each.key == "news"]
    assert (term.label, term.origin[1]) == ("News", "urn:vme:default:dictionary:category:news")
    same = compat.Thesaurus(one.old.GET(url.replace("dictionary/", "thesaurus/")))
    assert [each.key for each in same] == [each.key for each in terms]
    asset = compat.Item(one.old.GET(one.client.assets.find_one(one.ids[0]).self_link))
    forms = compat.MetadataFormCollection(one.old.GET(asset.models_link))
    (form,) = forms.entries
    model = compat.Model(one.old.GET(form.self_link))
    payload = model.to_payload()
    assert (form.name, payload.form.model) == ("sim-item", form.self_link.href)
    assert "asset.title" in payload.form
    payload.set("asset.category", term)
    assert payload.get("asset.category") == "news"
    one.old.PUT(asset.describedby_link, payload)


def test_an_old_class_reads_an_import_document():
    found = compat.ImportExport(
        b'<entry xmlns="http://www.w3.org/2005/Atom"><content src="a.mxf" type="video/mxf"/>'
        b"</entry>"
    )
    assert (found.content.src, found.content.type) == ("a.mxf", "video/mxf")
    assert compat.ImportExport(b'<entry xmlns="http://www.w3.org/2005/Atom"/>').content is None


def test_the_priority_of_a_request_is_set_with_the_old_class(one):
    asset = one.client.assets.create("Upload")
    one.client.assets.upload(asset, b"media")
    incoming = one.client.transfers.incoming(one.client.assets.get(asset.self_link))
    incoming = one.client.transfers.wait(incoming, 20, pause=0.05)
    request = compat.TransferRequest(one.old.GET(incoming.transfer_link))
    request.priority = "high"
    one.old.PUT(request.edit_link, request)
    again = one.client.transfers.request(incoming)
    assert again.priority == "high"

"""What flow.operation and flow.acl had."""

import functools
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from lxml import etree

from flowtools.compat.acl import Acl
from flowtools.compat.asset import Item
from flowtools.compat.client import Client, HTTPClientError, Response
from flowtools.compat.file import UnmanagedFile, UriList
from flowtools.compat.instance import get_default_instance
from flowtools.compat.merge import plain
from flowtools.compat.payload import Payload
from flowtools.multiparser import as_text
from flowtools.vizone.asset import AtomCategory
from flowtools.vizone.conflict import Backoff
from flowtools.vizone.conflict import retry_on_conflict as patiently
from flowtools.vizone.errors import NotFoundError
from flowtools.vizone.metadata import Payload as Form
from flowtools.vizone.namespaces import VDF

# Earlier versions gave each message the number of its worker, which functions were told as
# `log_id`. The command names the event now; the argument is taken so that old calls go on.


class Retry(Exception):
    """Raised within retry_on_conflict: try again."""


def retry_on_conflict(max_retries: int = 3) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a function to be called again on a conflict, or a Retry, `max_retries` times.

    It gets `conflict=True` from the second time on, if it takes that. Other than it was, the
    last failure is raised, and so is any other: an event that was not done is not forgotten.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        takes_it = "conflict" in function.__code__.co_varnames or bool(
            function.__code__.co_flags & 0x08  # **options
        )

        @functools.wraps(function)
        def patient(*args: Any, **options: Any) -> Any:
            for attempt in range(1, max_retries + 1):
                begun = time.monotonic()
                told = {"conflict": attempt > 1} if takes_it else {}
                try:
                    return function(*args, **options, **told)
                except HTTPClientError as error:
                    if error.response.status_code != 409 or attempt == max_retries:
                        raise
                except Retry:
                    if attempt == max_retries:
                        raise
                Backoff().wait(attempt, time.monotonic() - begun)
            return None

        return patient

    return decorate


def create_or_update_asset(
    id: str | None = None,
    metadata: Any = None,
    acl: Acl | None = None,
    mediaacl: Acl | None = None,
    tags: Mapping[str, str] | None = None,
    client: Client | None = None,
    log_id: Any = None,
    **unknown: Any,
) -> Item:
    """Return the asset with the identity `id`, made if need be, with `metadata` set.

    It may be called again after any failure: it finds what it made.

    Args:
        id: The site identity, atom:id or number.
        metadata: A Payload, or fields by name: each is set, tables included, and what else
            the asset has stays. `form` among them counts for an asset that has no metadata.
        acl: Who may do what with a new one.
        mediaacl: Who may do what with its media.
        tags: Categories, term by scheme, of a new one.
        client: None: the application's own.
        log_id: What earlier versions of Flow took for their messages; of no effect.
        unknown: What else python-one took; refused where it is given.

    Raises:
        ValueError: There is no id, or something is asked for that there is no public trace of.
        HTTPClientError, HTTPServerError: As the client.
    """
    asked = [name for name, said in unknown.items() if said]
    if id is None or asked:
        what = f"not supported: {', '.join(asked)}" if asked else "an id is needed"
        raise ValueError(f"create_or_update_asset: {what}")
    client = client or get_default_instance()
    asset = _find(id, client) or _create(id, acl, mediaacl, tags, client)
    if metadata is not None:
        _write_metadata(asset, metadata, client)
        link = asset.self_link or asset.edit_link
        asset.parse(client.GET(link, {"X-Inline": "describedby"}))
    return asset


def get_asset_by_id(id: str, headers: Any = None, client: Client | None = None) -> Item:
    """Return the asset with the site identity, atom:id or number `id`.

    Raises:
        HTTPClientError: There is none (404).
    """
    client = client or get_default_instance()
    found = _find(id, client, headers)
    if found is None:
        raise HTTPClientError(Response(404, b"", {}, ""), f"there is no asset '{id}'")
    return found


def create_asset(asset: Item, client: Client | None = None) -> Item:
    """Post `asset` to the collection of assets; return it as it is stored."""
    client = client or get_default_instance()
    collection = client.servicedoc.get_collection_by_keyword("asset")
    return Item(client.POST(collection.endpoint, asset))


def _find(id: str, client: Client, headers: Any = None) -> Item | None:
    found = client.one.assets.find_one(id)
    if found is None:
        return None
    return Item(client.GET(found.follow("self", "edit"), headers or {"X-Inline": "describedby"}))


def _create(
    id: str,
    acl: Acl | None,
    mediaacl: Acl | None,
    tags: Mapping[str, str] | None,
    client: Client,
) -> Item:
    asset = Item(id=id)
    if acl is not None:
        asset.acl = acl
    if mediaacl is not None:
        asset.mediaacl = mediaacl
    for scheme, term in sorted((tags or {}).items()):
        asset.keywords.append(AtomCategory(scheme, term))
    try:
        return create_asset(asset, client)
    except HTTPClientError as error:
        # Another thread, or an earlier try whose answer was lost, has made it.
        found = _find(id, client) if error.response.status_code == 409 else None
        if found is None:
            raise
        return found


def _write_metadata(asset: Item, metadata: Any, client: Client) -> None:
    fields = metadata.form if isinstance(metadata, Payload) else dict(metadata)

    @patiently
    def write() -> None:
        try:
            current = client.one.metadata(asset.describedby_link.href)
        except NotFoundError:
            current = new_form(asset, fields, client)
        if _copy(fields, current):
            client.one.put_metadata(current)

    write()


def new_form(asset: Item, fields: Any, client: Client) -> Form:
    """Return an empty form for an asset that has no metadata yet: the one that `fields` name.

    Raises:
        ValueError: They name none that the asset can have.
    """
    if isinstance(fields, Form):
        return Form(deepcopy(fields.element), asset.describedby_link.href)
    wanted = fields.get("form")
    for form in client.one.models.forms(asset.entry):
        if wanted in (None, form.name):
            element = etree.Element(f"{{{VDF}}}payload", model=form.href)
            return Form(element, asset.describedby_link.href)
    raise ValueError(f"create_or_update_asset: asset '{asset.id}' can have no form '{wanted}'")


def _copy(fields: Any, into: Form) -> bool:
    """Set each field in `into`; return whether that has changed anything."""
    before = etree.tostring(into.element, method="c14n")
    if isinstance(fields, Form):
        for each in fields.element.iterchildren(f"{{{VDF}}}field"):
            _replace(into.element, each)
    else:
        for name, value in fields.items():
            if name != "form":
                origin = getattr(value, "origin", None)
                into.set(name, as_text(value), origin if isinstance(origin, tuple) else None)
    return etree.tostring(into.element, method="c14n") != before


def _replace(form: Any, field: Any) -> None:
    """Let `form` have `field`, a table or a value, in the place of its own."""
    name = field.get("name")
    there = next((f for f in form.iterchildren(field.tag) if f.get("name") == name), None)
    if there is None:
        form.append(deepcopy(field))
    elif plain(there) != plain(field):
        form.replace(there, deepcopy(field))


def import_unmanaged_file(
    asset: Item, uri_list: UriList, client: Client | None = None, log_id: Any = None
) -> bool:
    """Let Viz One take a file as the media of `asset`; return whether it does."""
    client = client or get_default_instance()
    try:
        client.POST(asset.import_unmanaged_link, uri_list)
    except HTTPClientError:
        return False
    return True


def delete_unmanaged_file(
    unmanaged_file: UnmanagedFile, client: Client | None = None, log_id: Any = None
) -> None:
    """Delete a file; it is no error if it has gone."""
    client = client or get_default_instance()
    try:
        client.DELETE(unmanaged_file.delete_link)
    except HTTPClientError as error:
        if error.response.status_code != 404:
            raise


def set_group_permissions(
    acl: Acl, group_name: str, read: bool = True, write: bool = True, admin: bool = True
) -> bool:
    """Set what a group may do; return whether that is a change."""
    given = {"read": read, "write": write, "admin": admin}
    return acl.set_group(group_name, {name for name, said in given.items() if said})

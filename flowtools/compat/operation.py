"""The functions of flow.operation and flow.acl: assets, unmanaged files, permissions, retries."""

import functools
import inspect
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

# Functions take `log_id` because old calls pass it: the number of the worker, which the older Flow
# put into each message. It has no effect, since messages name their event now.


class Retry(Exception):
    """Raise this in a function with retry_on_conflict to have it called again."""


def retry_on_conflict(max_retries: int = 3) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a function to be called again after a conflict (409) or a Retry.

    It is called at most `max_retries` times in all, and at least once. If it has an argument
    `conflict`, that is True from the second call on. The exception of the last call is raised, and
    any other exception at once. (The older Flow returned None in both cases, as if the event were
    done.)
    """
    tries = max(1, max_retries)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(function).parameters
        takes_it = "conflict" in parameters or any(
            each.kind is each.VAR_KEYWORD for each in parameters.values()
        )

        @functools.wraps(function)
        def patient(*args: Any, **options: Any) -> Any:
            for attempt in range(1, tries + 1):
                begun = time.monotonic()
                told = {"conflict": attempt > 1} if takes_it else {}
                try:
                    return function(*args, **options, **told)
                except HTTPClientError as error:
                    if error.response.status_code != 409 or attempt == tries:
                        raise
                except Retry:
                    if attempt == tries:
                        raise
                Backoff().wait(attempt, time.monotonic() - begun)
            raise AssertionError("unreachable: the last try returns or raises")

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
    """Return the asset with the identity `id`; create it if needed, and set its metadata.

    May be called again after any failure: it finds the asset that an earlier call created.

    Args:
        id: Site identity, atom:id or number.
        metadata: A Payload, or values by name of the field. These fields are set, tables
            included; others stay as they are. The name `form` chooses the form of an asset that
            has no metadata yet.
        acl: Access control list of a new asset.
        mediaacl: Access control list of a new asset's media.
        tags: Categories of a new asset, term by scheme.
        client: Client to use; None: the default client.
        log_id: Ignored; see above.
        unknown: Further arguments of python-one, such as materialtype. They are refused if they
            have a value, since their XML is not known.

    Raises:
        ValueError: There is no id, an argument is not supported, or the form does not exist.
        HTTPClientError: The server refuses a request.
        HTTPServerError: The server failed or could not be reached.
    """
    asked = [name for name, said in unknown.items() if said]
    if id is None or asked:
        what = f"unsupported arguments: {', '.join(asked)}" if asked else "an id is needed"
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
        HTTPClientError: There is no such asset (404), or the server refuses the request.
        HTTPServerError: The server failed or could not be reached.
    """
    client = client or get_default_instance()
    found = _find(id, client, headers)
    if found is None:
        raise HTTPClientError(Response(404, b"", {}, ""), f"there is no asset '{id}'")
    return found


def create_asset(asset: Item, client: Client | None = None) -> Item:
    """Create `asset` on the server; return it as it was stored. Raises as Client.POST."""
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
        # Another thread created it meanwhile, or an earlier try whose answer was lost.
        found = _find(id, client) if error.response.status_code == 409 else None
        if found is None:
            raise
        return found


def _write_metadata(asset: Item, metadata: Any, client: Client) -> None:
    fields = metadata.form if isinstance(metadata, Payload) else dict(metadata)

    # Not the decorator above: that one waits for errors of the old client, and `client.one` raises
    # a ConflictError.
    @patiently
    def write() -> None:
        try:
            current = client.one.metadata(asset.describedby_link.href)
        except NotFoundError:
            current = new_form(asset, fields, client)
        # Nothing is sent if nothing changes: a PUT causes a message, which may start this Worker
        # again.
        if _copy(fields, current):
            client.one.put_metadata(current)

    write()


def new_form(asset: Item, fields: Any, client: Client) -> Form:
    """Return empty metadata for an asset that has none, in the form that `fields` name.

    A Payload names its form itself. Without a name the first form of the asset is used.

    Raises:
        ValueError: The asset cannot have a form of that name.
    """
    if isinstance(fields, Form):
        return Form(deepcopy(fields.element), asset.describedby_link.href)
    wanted = fields.get("form")
    for form in client.one.models.forms(asset.entry):
        if wanted in (None, form.name):
            element = etree.Element(f"{{{VDF}}}payload", model=form.href)
            return Form(element, asset.describedby_link.href)
    what = "has no metadata form" if wanted is None else f"has no metadata form '{wanted}'"
    raise ValueError(f"create_or_update_asset: asset '{asset.id}' {what}")


def _copy(fields: Any, into: Form) -> bool:
    """Set each field in `into`; return whether that changed anything."""
    # Canonical XML, so that the order of attributes does not count as a change.
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
    """Replace the field of the same name in `form` by `field`, a value or a table; or add it."""
    name = field.get("name")
    there = next((f for f in form.iterchildren(field.tag) if f.get("name") == name), None)
    if there is None:
        form.append(deepcopy(field))
    elif plain(there) != plain(field):
        form.replace(there, deepcopy(field))


def import_unmanaged_file(
    asset: Item, uri_list: UriList, client: Client | None = None, log_id: Any = None
) -> bool:
    """Import a file as the media of a placeholder; return whether the server accepts it."""
    client = client or get_default_instance()
    try:
        client.POST(asset.import_unmanaged_link, uri_list)
    except HTTPClientError:
        return False
    return True


def delete_unmanaged_file(
    unmanaged_file: UnmanagedFile, client: Client | None = None, log_id: Any = None
) -> None:
    """Delete a file; it is not an error if the file is gone already.

    Raises:
        HTTPClientError: The server refuses the request.
        HTTPServerError: The server failed or could not be reached.
    """
    client = client or get_default_instance()
    try:
        client.DELETE(unmanaged_file.delete_link)
    except HTTPClientError as error:
        if error.response.status_code != 404:
            raise


def set_group_permissions(
    acl: Acl, group_name: str, read: bool = True, write: bool = True, admin: bool = True
) -> bool:
    """Set the rights of a group; return whether that changed the list.

    Only the document is changed: PUT the asset afterwards.
    """
    given = {"read": read, "write": write, "admin": admin}
    return acl.set_group(group_name, {name for name, said in given.items() if said})

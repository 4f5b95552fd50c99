"""What flow.operation and flow.acl had."""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

from flowtools.compat.acl import Acl
from flowtools.compat.asset import Item
from flowtools.compat.client import Client, HTTPClientError
from flowtools.compat.file import UnmanagedFile, UriList
from flowtools.compat.payload import Payload
from flowtools.multiparser import as_text
from flowtools.vizone.errors import retry_on_conflict as patiently
from flowtools.vizone.metadata import Payload as Form


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
                told = {"conflict": attempt > 1} if takes_it else {}
                try:
                    return function(*args, **options, **told)
                except HTTPClientError as error:
                    if error.response.status_code != 409 or attempt == max_retries:
                        raise
                except Retry:
                    if attempt == max_retries:
                        raise
                time.sleep(0.02 * attempt)
            return None

        return patient

    return decorate


def create_or_update_asset(
    id: str | None = None,
    metadata: Any = None,
    acl: Any = None,
    mediaacl: Any = None,
    tags: Mapping[str, str] | None = None,
    client: Client | None = None,
    **unknown: Any,
) -> Item:
    """Return the asset with the identity `id`, made if need be, with `metadata` set.

    `metadata` is a Payload, or fields by name (`form` among them has no effect: the server
    chooses the form of a new asset). `tags` are categories, term by scheme, of a new one.

    Raises:
        ValueError: Something is asked for that there is no public trace of.
    """
    unsupported = [
        name for name, said in (*unknown.items(), ("acl", acl), ("mediaacl", mediaacl)) if said
    ]
    if client is None or id is None or unsupported:
        what = ", ".join(unsupported) or "no id, or no client"
        raise ValueError(f"create_or_update_asset: not supported: {what}")
    one = client.one
    found = one.assets.find_one(id)
    if found is None:
        keywords = sorted((tags or {}).items())
        found = one.assets.create(id, id, keywords)
    if metadata is not None:
        fields = metadata.form if isinstance(metadata, Payload) else dict(metadata)

        @patiently
        def write() -> Any:
            current = one.assets.metadata(found)
            if _copy(fields, current):
                return one.put_metadata(current)
            return current

        write()
    return Item(client.GET(found.follow("self", "edit"), {"X-Inline": "describedby"}))


def _copy(fields: Any, into: Form) -> bool:
    changed = []
    for name in fields:
        value = fields[name]
        if name != "form":
            origin = (
                fields.origin(name) if isinstance(fields, Form) else getattr(value, "origin", None)
            )
            changed.append(into.set(name, as_text(value), origin))
    return any(changed)


def import_unmanaged_file(asset: Item, uri_list: UriList, client: Client | None = None) -> bool:
    """Let Viz One take a file as the media of `asset`; return whether it does."""
    assert client is not None
    try:
        client.POST(asset.import_unmanaged_link, uri_list)
    except HTTPClientError:
        return False
    return True


def delete_unmanaged_file(unmanaged_file: UnmanagedFile, client: Client | None = None) -> None:
    """Delete a file; it is no error if it has gone."""
    assert client is not None
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

"""The names of the older Flow: a class written for it runs once its imports are changed.

    from flow import Flow                        from flowtools.compat import Flow
    from flow.needs import NeedsClient           from flowtools.compat import NeedsClient
    from flow.source import AssetEntryListener   from flowtools.compat import AssetEntryListener
    from vizone import logging                   from flowtools.compat import logging

flow-run and flow-work run a class that inherits Flow like any Worker; its `start` gets the object
that it got before, made from the event. Of Viz One's own library (python-one) this package has
the names that public applications of Flow use, and no others. New code needs none of this: see
docs/porting.md.

How it works: `base` turns an old class into a Worker or Source (`make_old`), `received` makes the
old object from an event, and `emitted` an event from an old object. `document` and `merge` decide
how a changed entry is written back. `client` has the old methods, on top of flowtools.vizone.
`oldmodules` lets even the old import lines work.
"""

from flowtools.compat import logging
from flowtools.compat.acl import Acl, AclEntry
from flowtools.compat.asset import Item
from flowtools.compat.base import (
    EventBased,
    Flow,
    Iterable,
    NeedsCleanUp,
    NeedsClient,
    NeedsConfig,
    NeedsStomp,
    NeedsStore,
    Once,
)
from flowtools.compat.client import Client, HTTPClientError, HTTPServerError, Response
from flowtools.compat.data import MultiParser
from flowtools.compat.feeds import (
    Dictionary,
    FeedIterator,
    ImportExport,
    ItemCollection,
    MetadataFormCollection,
    Model,
    Term,
    Thesaurus,
    get_assets,
    get_unmanaged_files,
)
from flowtools.compat.file import UnmanagedFile, UnmanagedFileCollection, UriList
from flowtools.compat.ftp import FXP, ftp_write
from flowtools.compat.groups import Folder, ItemSet, Member, Members, Program, Series
from flowtools.compat.instance import get_default_instance, init
from flowtools.compat.links import Link
from flowtools.compat.message import Message
from flowtools.compat.operation import (
    Retry,
    create_asset,
    create_or_update_asset,
    delete_unmanaged_file,
    get_asset_by_id,
    import_unmanaged_file,
    retry_on_conflict,
    set_group_permissions,
)
from flowtools.compat.payload import Payload
from flowtools.compat.service import ServiceDocument
from flowtools.compat.small import LogId, string_to_boolean, to_class
from flowtools.compat.steps import Incoming, TransferRequest, TransferStep
from flowtools.compat.store import Store
from flowtools.compat.timestamp import Timestamp
from flowtools.compat.transfer import PluginData, TransferPlugin
from flowtools.source.asset import AssetEntryListener
from flowtools.source.interval import Interval
from flowtools.source.location import UnmanagedFilesListener
from flowtools.source.stomp import GenericStompListener
from flowtools.transferplugin import Document
from flowtools.vizone.asset import AtomCategory
from flowtools.vizone.locked import Locked

STDIN = Document
"""Source that reads standard input as one document; the older Flow's name for it."""

__all__ = [
    "FXP",
    "STDIN",
    "Acl",
    "AclEntry",
    "AssetEntryListener",
    "AtomCategory",
    "Client",
    "Dictionary",
    "EventBased",
    "FeedIterator",
    "Flow",
    "Folder",
    "GenericStompListener",
    "HTTPClientError",
    "HTTPServerError",
    "ImportExport",
    "Incoming",
    "Interval",
    "Item",
    "ItemCollection",
    "ItemSet",
    "Iterable",
    "Link",
    "Locked",
    "LogId",
    "Member",
    "Members",
    "Message",
    "MetadataFormCollection",
    "Model",
    "MultiParser",
    "NeedsCleanUp",
    "NeedsClient",
    "NeedsConfig",
    "NeedsStomp",
    "NeedsStore",
    "Once",
    "Payload",
    "PluginData",
    "Program",
    "Response",
    "Retry",
    "Series",
    "ServiceDocument",
    "Store",
    "Term",
    "Thesaurus",
    "Timestamp",
    "TransferPlugin",
    "TransferRequest",
    "TransferStep",
    "UnmanagedFile",
    "UnmanagedFileCollection",
    "UnmanagedFilesListener",
    "UriList",
    "create_asset",
    "create_or_update_asset",
    "delete_unmanaged_file",
    "ftp_write",
    "get_asset_by_id",
    "get_assets",
    "get_default_instance",
    "get_unmanaged_files",
    "import_unmanaged_file",
    "init",
    "logging",
    "retry_on_conflict",
    "set_group_permissions",
    "string_to_boolean",
    "to_class",
]

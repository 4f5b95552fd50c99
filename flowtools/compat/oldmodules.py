"""The modules of the older Flow and of python-one, by their own names.

    PYTHONPATH=$(flow-run --legacy-path) flow-run myapp.ini

puts two packages on the path, `flow` and `vizone`, so that the import lines of an old application
stay as they are. The packages are empty (compat/legacy): importing one installs an import hook,
`_Finder`, which makes their modules from the names of flowtools.compat that MODULES lists. A
module or name that does not exist raises an error at the import, with a hint at a replacement.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

LEGACY = Path(__file__).parent / "legacy"
"""The directory that --legacy-path prints."""

_KINDS = ("Flow", "Once", "Iterable", "EventBased")

MODULES: dict[str, tuple[str, ...]] = {
    "flow": _KINDS,
    "flow.acl": ("set_group_permissions",),
    "flow.base": _KINDS,
    "flow.data": ("MultiParser",),
    "flow.lock": ("Locked",),
    "flow.logging": ("LogId",),
    "flow.multi": ("LogId",),
    "flow.needs": ("NeedsCleanUp", "NeedsClient", "NeedsConfig", "NeedsStomp", "NeedsStore"),
    "flow.operation": (
        "Retry",
        "create_or_update_asset",
        "delete_unmanaged_file",
        "import_unmanaged_file",
        "retry_on_conflict",
    ),
    "flow.source": (
        "AssetEntryListener",
        "GenericStompListener",
        "Interval",
        "STDIN",
        "UnmanagedFilesListener",
    ),
    "flow.source.asset": ("AssetEntryListener",),
    "flow.source.interval": ("Interval",),
    "flow.source.local": ("STDIN",),
    "flow.source.location": ("UnmanagedFilesListener",),
    "flow.source.stomp": ("GenericStompListener",),
    "flow.store": ("Store",),
    "flow.transfer": ("TransferPlugin",),
    "flow.util": ("string_to_boolean",),
    "vizone": ("logging",),
    "vizone.classutils": ("to_class",),
    "vizone.client": (
        "HTTPClientError",
        "HTTPServerError",
        "Instance",
        "get_default_instance",
        "init",
    ),
    "vizone.iso8601": ("Timestamp",),
    "vizone.logging": (
        "debug",
        "error",
        "get_default_logger",
        "info",
        "log",
        "set_logger",
        "warn",
        "warning",
    ),
    "vizone.net": (),
    "vizone.net.ftp": ("FXP", "connect", "ftp_write"),
    "vizone.net.message_queue": ("Message",),
    "vizone.opensearch": ("FeedIterator",),
    "vizone.payload": (),
    "vizone.payload.asset": ("Item", "ItemCollection"),
    "vizone.payload.common": ("AtomCategory",),
    "vizone.payload.dictionary": ("Dictionary", "Term"),
    "vizone.payload.folder": ("Folder",),
    "vizone.payload.incoming": ("Incoming",),
    "vizone.payload.media": ("Incoming", "UnmanagedFile", "UnmanagedFileCollection"),
    "vizone.payload.member": ("Members",),
    "vizone.payload.metadata": ("ImportExport", "MetadataFormCollection"),
    "vizone.payload.program": ("Program",),
    "vizone.payload.series": ("Series",),
    "vizone.payload.transfer": ("PluginData", "TransferRequest", "TransferStep"),
    "vizone.payload.transfer.transferrequest": ("TransferRequest",),
    "vizone.payload.transfer.transferstep": ("TransferStep",),
    "vizone.payload.user_group": ("Acl", "AclEntry"),
    "vizone.payload.user_group.aclentry": ("Acl", "AclEntry"),
    "vizone.resource": (),
    "vizone.resource.asset": ("create_asset", "get_asset_by_id", "get_assets"),
    "vizone.resource.unmanaged_file": ("get_unmanaged_files",),
    "vizone.urilist": ("UriList",),
    "vizone.vdf": ("Model", "Payload"),
}
"""The modules, with the names that each has here."""

ELSEWHERE = {
    "vizone.logging": "flowtools.compat.logging",
    "vizone.net.ftp": "flowtools.compat.ftp",
}
"""Modules whose names are taken from another module than flowtools.compat."""

HINTS = {
    "flow.source.web": "write a Source: examples/sources/web_server.py",
    "flow.multi.Pool": "flow-run and flow-work are the pool",
    "flow.logging.TerminalLogger": "messages go to standard error; see --log-format",
    "vizone.net.message_queue.ConnectionManager": "inherit NeedsStomp, and use self.stomp",
}
"""Hints for some modules and names that do not exist here."""


class _Finder(MetaPathFinder, Loader):
    """Import hook for the modules in MODULES; refuses others of the two packages with a hint."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # The packages themselves and `python -m flow` are files, found in the usual way.
        package = fullname.partition(".")[0]
        if package not in ("flow", "vizone") or fullname in ("flow", "vizone", "flow.__main__"):
            return None
        if fullname not in MODULES:
            raise ModuleNotFoundError(
                f"there is no module '{fullname}' in flowtools.compat{_hint(fullname)}",
                name=fullname,
            )
        is_package = any(name.startswith(f"{fullname}.") for name in MODULES)
        return ModuleSpec(fullname, self, is_package=is_package)

    def exec_module(self, module: ModuleType) -> None:
        fill(module.__name__, module.__dict__)


def install() -> None:
    """Install the import hook, once."""
    if not any(isinstance(each, _Finder) for each in sys.meta_path):
        # First, or Python would look for files and report a missing module without our hint.
        sys.meta_path.insert(0, _Finder())


def fill(name: str, names: dict[str, Any]) -> None:
    """Put the names of the module `name` into its dictionary `names`.

    A name that it does not have is an ImportError with a hint, through the module's __getattr__.
    """
    home = importlib.import_module(ELSEWHERE.get(name, "flowtools.compat"))
    for each in MODULES[name]:
        # Instance is python-one's name for the client.
        names[each] = home.Client if each == "Instance" else getattr(home, each)
    names["__all__"] = list(MODULES[name])

    def missing(wanted: str) -> Any:
        # The import system itself asks for these, and expects an AttributeError.
        if wanted.startswith("__") or f"{name}.{wanted}" in MODULES:
            raise AttributeError(f"module '{name}' has no attribute '{wanted}'")
        raise ImportError(
            f"cannot import '{wanted}' from '{name}': flowtools.compat has no such name"
            f"{_hint(f'{name}.{wanted}')}"
        )

    names["__getattr__"] = missing


def _hint(name: str) -> str:
    said = HINTS.get(name)
    return f"; {said}" if said else "; see docs/porting.md for what to use instead"

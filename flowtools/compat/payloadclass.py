"""The key `payload class` of a profile: the class for a document from standard input."""

from configparser import ConfigParser
from importlib import import_module
from typing import Any

from flowtools.core.errors import ConfigurationError
from flowtools.worker.loading import failure


def payload_class(config: ConfigParser) -> Any:
    """Return the class that the profile names; None if it names none.

    For a name of python-one, such as `vizone.payload.transfer.PluginData`, that is the class with
    the same last part in flowtools.compat. Any other name is imported.

    Raises:
        ConfigurationError: There is no such class, or it cannot be imported.
    """
    name = config.get("Source", "payload class", fallback="").strip()
    if not name or name == "None":
        return None
    module, _, last = name.replace(":", ".").rpartition(".")
    # Not imported: packages of these names exist only with --legacy-path.
    if module.split(".")[0] in ("vizone", "flow") or not module:
        compat = import_module("flowtools.compat")
        if last not in compat.__all__:
            raise ConfigurationError(
                f"[Source] payload class: flowtools.compat has no '{last}' ('{name}')"
            )
        return getattr(compat, last)
    try:
        found = getattr(import_module(module), last)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"[Source] payload class: cannot load '{name}': {error}"
        ) from error
    # A module of the user may raise anything while it is imported.
    except (Exception, SystemExit) as error:
        raise failure("load", "payload class", name, error) from error
    if not callable(found):
        raise ConfigurationError(f"[Source] payload class: '{name}' is not a class")
    return found

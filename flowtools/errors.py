"""Public names: one exception class for each exit status of a command."""

from flowtools.core.errors import (
    ConfigurationError,
    EventsFailed,
    FlowError,
    InternalError,
    ProtocolError,
    ReaderGone,
    RefusedError,
    Status,
    UnreachableError,
    UsageError,
)

__all__ = [
    "ConfigurationError",
    "EventsFailed",
    "FlowError",
    "InternalError",
    "ProtocolError",
    "ReaderGone",
    "RefusedError",
    "Status",
    "UnreachableError",
    "UsageError",
]

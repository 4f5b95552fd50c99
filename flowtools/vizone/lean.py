"""httpx without its command line.

What that needs (rich, pygments, click) would be loaded wherever it is installed, and takes
longer than all else that a command of ours loads.
"""

import sys

if "httpx" not in sys.modules:
    # None stands for a module that is not there; httpx does without it then.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    try:
        import httpx
    finally:
        del sys.modules["httpx._main"]

import httpx

__all__ = ["httpx"]

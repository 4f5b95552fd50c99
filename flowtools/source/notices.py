"""Notices of changes in a folder, from inotify(7) by way of watchfiles.

One thread, which `Notices` starts and `close` joins, waits for them and puts paths into a
bounded set; the source's thread is rung and takes them.
"""

import threading

from flowtools.core.log import get_log
from flowtools.core.wait import Wake

MAX_PATHS = 10_000
"""Paths that are kept; with more, everything is to be looked at instead."""

GATHER = 200
"""Milliseconds over which notices are gathered at most."""

_STEP = 50

log = get_log("flowtools.source.watch")


class Notices:
    """Where something has changed in the folder `path` since `take` was called last."""

    def __init__(self, path: str, wake: Wake, *, recursive: bool) -> None:
        """Begin to watch; `wake` is rung when there is something to take."""
        self._path = path
        self._wake = wake
        self._recursive = recursive
        self._lock = threading.Lock()
        self._paths: set[str] = set()
        # Until the system watches, anything may have happened.
        self._everything = True
        self._failure: str | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str | None:
        """Why there are no notices any more; None while all is well."""
        with self._lock:
            return self._failure

    def take(self) -> set[str] | None:
        """Return the paths to look at; None: everything."""
        with self._lock:
            paths, self._paths = self._paths, set()
            everything, self._everything = self._everything, False
        return None if everything else paths

    def close(self) -> None:
        """Watch no more."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:
            log.debug("watchfiles: %s", error, exc_info=error)
            with self._lock:
                self._failure = str(error)
            self._wake.ring()

    def _watch(self) -> None:
        from watchfiles import watch  # It takes a tenth of a second to load.

        is_watching = False
        for changes in watch(
            self._path,
            watch_filter=None,
            debounce=GATHER,
            step=_STEP,
            stop_event=self._ending,
            rust_timeout=GATHER,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=self._recursive,
            force_polling=False,
            ignore_permission_denied=True,
        ):
            with self._lock:
                self._paths.update(path for _, path in changes)
                if not is_watching or len(self._paths) > MAX_PATHS:
                    self._paths.clear()
                    self._everything = True
                there_is_something = self._everything or bool(self._paths)
                is_watching = True
            if there_is_something:
                self._wake.ring()

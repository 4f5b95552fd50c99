"""The class of every command: the common options, and one way to end.

Every error ends in `Command.invoke`. A FlowError carries its exit status, and its text is one line
on stderr. After a signal the command drains and then ends by that signal (process/signals.py). If
the reader of stdout has gone, the command ends by SIGPIPE, without a message. Mistakes on the
command line are found before the format of messages is known, so `main` reports them by itself.

Inside, `run_source` runs a source, and `working` is the frame for all other work that a signal can
stop. Heavy modules are imported in the functions that use them: `--help` must be quick.
"""

import errno
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn

import click

from flowtools import __version__
from flowtools.cli.binding import Duration, option
from flowtools.core.errors import (
    ConfigurationError,
    EventsFailed,
    FlowError,
    ReaderGone,
    Status,
    UsageError,
)
from flowtools.core.settings import Messages

if TYPE_CHECKING:
    from flowtools.core.wait import Stop
    from flowtools.source import Source


class Command(click.Command):
    """A click command that ends the way a Unix filter should.

    It adds --version, -v, -q and --log-format. An error becomes one line on stderr and the exit
    status of its class (core/errors.py). A closed stdout ends the process by SIGPIPE, and a signal
    ends it by that signal, after the drain. The command's function may return a Status.
    """

    _leaves_threads = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **kwargs)
        for add in _COMMON_OPTIONS:
            add(self)
        click.version_option(__version__, "-V", "--version", prog_name=self.name)(self)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Explain units of time after the options, if one of them takes a length of time."""
        if any(isinstance(each.type, Duration) for each in self.params):
            formatter.write_paragraph()
            formatter.write_text("SECONDS may have a unit: 90s, 5m, 2h, 1d.")
        super().format_epilog(ctx, formatter)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command and exit with its status."""
        _hold_closed()
        if f"_{self.name}_COMPLETE".replace("-", "_").upper() in os.environ:
            from flowtools.cli import completion  # Only while a shell completes a line.

            completion.register()
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        try:
            status = super().main(args, self.name, complete_var, False, **extra)
        except click.ClickException as error:
            self._complain(args, f"{_usage_text(error)}; try '{self.name} --help'")
            status = Status.USAGE
        except click.Abort:
            _end_by_signal(signal.SIGINT)
        _flush_messages()
        if self._leaves_threads:
            # A thread may be stuck in a call, and the interpreter would wait for it.
            os._exit(int(status or Status.DONE))
        sys.exit(int(status or Status.DONE))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; --help and --version write to stdout here."""
        try:
            return super().parse_args(ctx, args)
        except BrokenPipeError:
            _discard_stdout()
            _end_by_signal(signal.SIGPIPE)
        except OSError as error:
            _discard_stdout()
            self._complain(args, f"cannot write standard output: {error.strerror}")
            raise click.exceptions.Exit(Status.FAILED) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command's function; every error ends here.

        Errors must not reach click: it takes every EPIPE, such as that of a socket, for a closed
        stdout, and exits with status 1.
        """
        from flowtools.process import console  # logging is not needed for --help
        from flowtools.process.signals import Signalled, end_by, survive_sigusr1

        verbosity = -1 if ctx.meta["flowtools.quiet"] else ctx.meta["flowtools.verbose"]
        level = ctx.meta.get("flowtools.worker_log_level")
        console.configure(str(self.name), verbosity, ctx.meta["flowtools.log_format"], level)
        _describe(ctx)
        survive_sigusr1()
        try:
            _require_the_lock()
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except ReaderGone:
            _discard_stdout()
            console.flush()
            end_by(signal.SIGPIPE)
        except Signalled as ended:
            if isinstance(ended.__cause__, FlowError):
                _report(ended.__cause__)
            console.flush()
            end_by(ended.signum)
        except KeyboardInterrupt:  # Outside `working`, whose handler only sets the stop.
            console.flush()
            end_by(signal.SIGINT)
        except UsageError as error:
            # As one of click's own, so that `main` adds the hint at --help.
            raise click.UsageError(str(error), ctx) from None
        except Exception as error:  # noqa: BLE001  the one place where errors end
            return _report(error)

    def _complain(self, args: Sequence[str] | None, text: str) -> None:
        """Report a mistake on the command line; --log-format has to be looked for by hand."""
        from flowtools.core.log import get_log
        from flowtools.process import console

        given = list(sys.argv[1:] if args is None else args)
        is_json = "--log-format=json" in given or ("--log-format", "json") in pairwise(given)
        console.configure(str(self.name), -1, "json" if is_json else "text")
        get_log("flowtools").error("%s", text)

    def leave_threads(self) -> None:
        """Exit at the end of the command without waiting for its threads: one is stuck."""
        self._leaves_threads = True

    def fail(self, message: str) -> NoReturn:
        """End with a usage error."""
        raise click.UsageError(message)


@contextmanager
def working() -> "Iterator[Stop]":
    """Yield the flag that a signal sets; the block is the work of the current command.

    While it runs, flow-status and SIGUSR1 are answered, and metrics are served at the address of
    --metrics.

    Raises:
        Signalled: The block has ended after a signal.
    """
    from flowtools.process.service import speaking
    from flowtools.process.signals import stopped_by_signals

    ctx = click.get_current_context()
    metrics = ctx.meta.get("flowtools.metrics")
    with stopped_by_signals() as stop, speaking(str(ctx.command.name), metrics):
        yield stop


def standard_input() -> int:
    """Return the descriptor of standard input; warn if it is a terminal."""
    fd = 0  # sys.stdin is None if the caller has closed it.
    if os.isatty(fd):
        # Most likely the source was forgotten. Without a word the command would seem to hang.
        from flowtools.core.log import get_log

        get_log("flowtools").warning(
            "waits for event lines from the terminal: put a source in front, as in"
            " 'flow-interval 60 | %s ...', or type JSON lines and end them with Ctrl-D",
            click.get_current_context().command.name,
        )
    return fd


def run_source(source: "Source", drain: float | None = None) -> None:
    """Run `source`, which writes its events to stdout, until it ends or a signal stops it.

    After the signal, the reader has `drain` seconds to accept what is written; None: the source
    limits that time itself.
    """
    from flowtools.core.lines import LineWriter
    from flowtools.process.memory import keep_one_heap, spare_the_collector
    from flowtools.process.vitals import vitals

    spare_the_collector()
    keep_one_heap()  # Before `working` starts threads, each of which would get its own heap.
    writer = LineWriter(sys.stdout.fileno())
    with working() as stop, vitals.providing(events_out=lambda: writer.emitted):
        vitals.provide_moment(lambda: writer.written_at)
        if drain is not None:
            writer.give_up(stop, drain)
        source.run(writer, stop)


def keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Store the value of an option in `ctx.meta` for this module; the command does not get it."""
    ctx.meta[f"flowtools.{param.name}"] = value


_OUT_OF_MEMORY = ("can't start new thread", "failed to map segment from shared object")
"""Texts with which CPython and the loader of shared libraries report a lack of threads or memory;
they have no exception class for it."""

_COMMON_OPTIONS = (
    option(
        "--log-format",
        of=Messages,
        type=click.Choice(["text", "json"]),
        expose_value=False,
        callback=keep,
        help="Format of the messages on stderr.",
    ),
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=keep,
        help="Print errors only.",
    ),
    click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=keep,
        help="Print what happens, and the traceback of an error; twice: with details.",
    ),
)


# Click's words for a type, such as "'x' is not a valid float range", and what we say instead.
_TYPES = {
    "not a valid integer range": "not a whole number",
    "not a valid integer": "not a whole number",
    "not a valid float range": "not a number",
    "not a valid float": "not a number",
}


def _usage_text(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        near = " or ".join(repr(name) for name in error.possibilities or ())
        return f"no such option {error.option_name!r}" + (f", perhaps {near}" if near else "")
    message = " ".join(error.format_message().split()).removesuffix(".")
    for theirs, ours in _TYPES.items():
        if message.endswith(theirs):
            message = message.removesuffix(theirs) + ours
    if ": invalid " in message:  # Our own text says so already.
        message = message.removeprefix("Invalid value for ")
    return message[:1].lower() + message[1:]


def _describe(ctx: click.Context) -> None:
    """With -vv, log the version and the given options, except texts, which may be secret."""
    if ctx.meta["flowtools.verbose"] < 2 or ctx.meta["flowtools.quiet"]:
        return
    from flowtools.core.log import get_log

    typed = click.core.ParameterSource.COMMANDLINE
    given = [
        f"{each.opts[-1]}={ctx.params[each.name]}"
        for each in ctx.command.params
        if each.name in ctx.params and ctx.get_parameter_source(each.name) is typed
        if isinstance(ctx.params[each.name], bool | int | float)
    ]
    python = ".".join(map(str, sys.version_info[:3]))
    get_log("flowtools").debug(
        "version %s, Python %s, process %d%s",
        *(__version__, python, os.getpid(), f", with {', '.join(given)}" if given else ""),
    )


def _report(error: Exception) -> int:
    """Log the error that ends the command; return the exit status."""
    from flowtools.core.log import get_log

    log = get_log("flowtools")
    if isinstance(error, FlowError):
        # Failed events are a result and not a fault of ours: a traceback would explain nothing.
        log.error("%s", error, exc_info=None if isinstance(error, EventsFailed) else error)
        return error.status
    if isinstance(error, ConnectionError):
        log.error("lost a connection: %s", error.strerror or error, exc_info=error)
        return Status.UNREACHABLE
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        log.error(
            "out of file descriptors: %s; allow more with ulimit -n, or LimitNOFILE= of systemd",
            error.strerror,
            exc_info=error,
        )
        return Status.INTERNAL
    if _is_out_of_memory(error):
        log.error(
            "out of memory, or of threads: %s; allow more with ulimit -v and -u, or MemoryMax= and"
            " TasksMax= of systemd",
            error,
            exc_info=error,
        )
        return Status.INTERNAL
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("flowtools"):
        log.error(
            "there is no package '%s' for %s; install flowtools together with what it needs, such"
            " as by 'pip install .' or 'make install'",
            error.name,
            sys.executable,
            exc_info=error,
        )
        return Status.CONFIGURATION
    log.error(
        "internal error: %s: %s; --verbose shows where",
        type(error).__name__,
        error,
        exc_info=error,
    )
    return Status.INTERNAL


def _flush_messages() -> None:
    """Wait for messages to be written, if there were any."""
    # Not imported: a command that has said nothing, such as --help, has not loaded it.
    console = sys.modules.get("flowtools.process.console")
    if console is not None:
        console.flush()


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether a lack of memory or threads is `error`, or led to it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or any(text in str(cause) for text in _OUT_OF_MEMORY):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _end_by_signal(signum: int) -> NoReturn:
    from flowtools.process.signals import end_by

    end_by(signum)
    raise AssertionError("a signal that kills has not")


def _require_the_lock() -> None:
    """Refuse a Python that runs without its global interpreter lock.

    The pool settles attempts without locks of its own (pool/inflight.py). That has been tested only
    on interpreters that run Python code in one thread at a time. `sys._is_gil_enabled` exists
    since Python 3.13.

    Raises:
        ConfigurationError: Several threads run Python code at once.
    """
    is_locked = getattr(sys, "_is_gil_enabled", None)
    if is_locked is not None and not is_locked():
        raise ConfigurationError(
            f"'{sys.executable}' is a free-threaded Python, on which flowtools has not been "
            "tested; use the ordinary build, or set PYTHON_GIL=1"
        )


def _hold_closed() -> None:
    """Occupy the standard descriptors that the caller has closed.

    Otherwise a pipe or socket of ours could get number 0, 1 or 2, and receive event lines or
    messages. They are opened for the opposite direction, so that using them still fails.
    """
    for fd, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, mode)
    if sys.stdout is None:  # Descriptor 1 was closed when Python started.
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115


def _discard_stdout() -> None:
    # Whatever Python still buffers must not go to the closed pipe at exit: that would
    # print "Exception ignored" and exit with 120.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""Assembles flow-work: makes a pool from the options and runs it on standard input.

The order matters. The template process of --isolation process is forked first, before there is a
second thread. Then come the signals, the status socket and the guarded stdout. The Worker is made
after them, so that whatever its code prints becomes messages. `ExitStack` ends everything in the
opposite order.
"""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowtools.ack.sender import AckSender
from flowtools.core.errors import ConfigurationError, UsageError
from flowtools.core.lines import LineWriter
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.wait import Stop
from flowtools.pool import details
from flowtools.pool.dryrun import dry_run
from flowtools.pool.inflight import Crew
from flowtools.pool.outcome import FAILURES, Outcome
from flowtools.pool.runner import BoundedRunner, Runner, ThreadRunner
from flowtools.pool.settings import BATCH, LINGER, Choice, Known, Recorder, Settings
from flowtools.pool.tally import Snapshot
from flowtools.pool.work import Input, Parts, Reopened, Rest, Sender, Work, check
from flowtools.process.bounded import bounded
from flowtools.process.console import bound_flush, is_terminal, say, terminal
from flowtools.process.ear import Ear
from flowtools.process.memory import spare_the_collector
from flowtools.process.service import speaking
from flowtools.process.signals import stopped_by_signals
from flowtools.process.stdout import guarded_stdout
from flowtools.process.systemd import Notifier
from flowtools.process.vitals import vitals
from flowtools.worker.config import load as load_config
from flowtools.worker.contract import Worker, make, takes_batches
from flowtools.worker.loading import clean_up, load_exceptions

if TYPE_CHECKING:
    from flowtools.ack.relay import Relay
    from flowtools.core.toolong import Spill
    from flowtools.pool.failed import FailedFile
    from flowtools.pool.metrics import Metrics
    from flowtools.pool.progress import Progress
    from flowtools.pool.template import Template
    from flowtools.process.metrics import MetricsServer
    from flowtools.worker.needs import Equipment

STDIN = 0
"""The descriptor of standard input; sys.stdin is None if the caller has closed it."""

LAST_LINES = 1.0
"""Seconds for which a source in the pipe may hand over its last lines once both are stopped."""

log = get_log("flowtools.work")


Opener = Callable[[Worker | None, Stop], AbstractContextManager[Input]]


@contextmanager
def _standard_input(worker: Worker | None, stop: Stop) -> Iterator[Input]:
    yield Input(STDIN, stop, AckSender(), Rest(LAST_LINES) if _is_pipe(STDIN) else None)


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False  # Standard input is closed; reading it reports that.


def run(
    choice: Choice,
    on_stuck: Callable[[], None],
    *,
    config: ConfigParser | None = None,
    equipment: "Equipment | None" = None,
    opener: Opener = _standard_input,
    drain: float | None = None,
) -> None:
    """Run a pool with the given options; results go to standard output.

    Args:
        choice: The options.
        on_stuck: Called if a thread of the pool was abandoned and may never end.
        config: The Worker's settings; None: those named by the options.
        equipment: Objects that the Worker may ask for; None: made from the environment.
        opener: Opens the input while the pool runs; the default is standard input.
        drain: Seconds that `configure` and `clean_up` have after a signal; None: as the pool.

    Raises:
        FlowError: The run cannot start or continue (see errors.py); EventsFailed: some events
            failed.
        ReaderGone: The reader of the results has gone.
        Signalled: A signal asked for the end, and the pool has drained.
    """
    settings = load_config(choice.config, choice.settings) if config is None else config
    with ExitStack() as stack:
        bound_flush(choice.pool.drain)
        ear = stack.enter_context(closing(Ear()))
        # Before everything else: the template process must be forked while there is one thread.
        template = _template(choice, settings, equipment, ear, stack)
        stop = stack.enter_context(stopped_by_signals())
        server = stack.enter_context(speaking(choice.pool.command, choice.metrics))
        crew = Crew()  # Made this early because the guarded stdout asks whose output it is.
        writer = stack.enter_context(guarded_stdout(ear, crew.whose))
        spare_the_collector()
        worker = None
        seconds = choice.pool.drain if drain is None else drain
        if template is None:
            with bounded("the Worker's 'configure'", stop, seconds):
                worker = make(choice.worker, settings, equipment, load_exceptions(choice.pause_on))
        runners, has_batches = _runners(choice, worker, template, stop, seconds)
        choice = replace(choice, pool=_with_batches(choice, has_batches=has_batches))
        try:
            with opener(worker, stop) as given:
                if choice.dry_run:
                    totals = dry_run(choice, _done(choice), stop)
                else:
                    totals = _work(choice, given, writer, runners, crew, stack, server)
        finally:
            if crew.stuck():
                on_stuck()  # The interpreter's own end could wait for a stuck thread.
            if worker is not None:
                with bounded("the Worker's 'clean_up'", stop, seconds):
                    clean_up(worker, "Worker")
        if totals[Outcome.SKIPPED] and not (choice.progress or choice.dry_run):
            _tell_skipped(totals[Outcome.SKIPPED])
        halt = choice.pool.halt
        if halt is None or not halt.is_success:
            check(totals)


def _work(
    choice: Choice,
    given: Input,
    writer: LineWriter,
    runners: Callable[[], Runner],
    crew: Crew,
    stack: ExitStack,
    server: "MetricsServer | None",
) -> Counter[str]:
    """Run the pool to its end; return how many events ended with which outcome."""
    _refuse_a_circle(choice, given.fd, writer.fileno())
    _refuse_one_file_for_two(choice, writer.fileno())
    settings = replace(choice.pool, done=_done(choice), worker=choice.worker)
    shown = _Shown(choice, server)
    if choice.once is not None:
        from flowtools.pool.once import Once

        once = stack.enter_context(Once(choice.once, choice.once_age))
        settings = replace(settings, known=once.has)
        shown.recorders.append(once)
    relay = _relay(choice, given.acks)
    parts = _parts(choice, shown, relay, stack)
    if choice.no_ack:
        given = replace(given, acks=None)
    limited = partial(_limited, runners, choice.max_line)
    work = Work(settings, given, writer, limited, parts, crew)
    shown.start(work.snapshot, stack)
    stack.enter_context(_providing(choice.worker, work))
    return work.run()


def _tell_skipped(number: int) -> None:
    """Tell how many events were skipped: a person at a terminal, otherwise only with -v.

    Cron would mail the message after every run.
    """
    tell = say if is_terminal() else log.info
    tell(f"{counted(number, 'event', 'was', 'were')} done already: skipped")


def _runners(
    choice: Choice, worker: Worker | None, template: "Template | None", stop: Stop, drain: float
) -> tuple[Callable[[], Runner], bool]:
    """Return a function that makes a runner for a thread, and whether the Worker takes batches."""
    if template is None:
        pausing = load_exceptions(choice.pause_on)
        return partial(ThreadRunner, worker, pausing), takes_batches(worker)
    from flowtools.pool.handover import SeriesRunner
    from flowtools.pool.isolation import time_to_clean_up
    from flowtools.pool.recycling import Limits

    memory = None if choice.recycle_memory is None else choice.recycle_memory * 2**20
    limits = Limits(choice.recycle, memory)
    patience = partial(time_to_clean_up, stop, drain)
    return partial(SeriesRunner, template, patience, limits), template.takes_batches


def _with_batches(choice: Choice, *, has_batches: bool) -> Settings:
    """Return the pool's settings, with batches if the Worker takes them.

    Raises:
        ConfigurationError: --batch or --linger is given, but the Worker takes single events.
    """
    pool = choice.pool
    if has_batches:
        linger = LINGER if pool.linger is None else pool.linger
        return replace(pool, batch=pool.batch or BATCH, linger=linger)
    if pool.batch is not None or pool.linger is not None:
        option = "--batch" if pool.batch is not None else "--linger"
        raise ConfigurationError(
            f"Worker '{choice.worker}' takes single events: leave {option} out, or give the"
            " Worker a start_many(events)"
        )
    return pool


def _template(
    choice: Choice,
    settings: ConfigParser,
    equipment: "Equipment | None",
    ear: Ear,
    stack: ExitStack,
) -> "Template | None":
    """Return the template of the Worker's processes; None with --isolation thread."""
    if choice.isolation != "process" or choice.dry_run:
        return None
    from flowtools.pool.child import Plan
    from flowtools.pool.template import Template

    template = Template(Plan(choice.worker, settings, equipment, choice.pause_on), ear)
    stack.callback(template.close)
    return template


class _Shown:
    """The displays of a running pool: metrics and progress, if they were asked for.

    Attributes:
        recorders: The displays, as recorders of every attempt.
    """

    def __init__(self, choice: Choice, server: "MetricsServer | None") -> None:
        self.recorders: list[Recorder] = []
        self._metrics: Metrics | None = None
        self._progress: Progress | None = None
        if server is not None:
            from flowtools.pool import metrics

            self._metrics = metrics.Metrics(server.registry)
            self.recorders.append(self._metrics)
        if choice.progress:
            from flowtools.pool import progress

            self._stream = terminal()
            self._progress = progress.Progress(self._stream, say, STDIN)
            self.recorders.append(self._progress)

    def start(self, snapshot: Callable[[], Snapshot], stack: ExitStack) -> None:
        """Show the figures of `snapshot` until `stack` ends."""
        if self._metrics is not None:
            self._metrics.show(snapshot)
        if self._progress is not None:
            self._progress.start(snapshot)
            stack.callback(self._stream.close)
            stack.callback(self._progress.stop)


def _providing(worker: str, work: Work) -> AbstractContextManager[None]:
    """Provide the pool's figures for flow-status and the metrics."""
    vitals.about = worker
    return vitals.providing(
        done=lambda: work.counts()[Outcome.DONE],
        failed=lambda: sum(work.counts()[each] for each in FAILURES),
        in_flight=lambda: len(work.snapshot().running) + work.snapshot().queued,
        oldest_seconds=lambda: max((age for _, age in work.snapshot().running), default=0.0),
        lag_seconds=work.crew.lag,
        stuck=work.crew.stuck,
        wedged=lambda: float(work.crew.stuck() >= work.snapshot().threads),
        paused=lambda: float(work.pause.is_on),
        moment=work.last_moment,
    )


def _limited(runners: Callable[[], Runner], max_line: int) -> Runner:
    return BoundedRunner(runners(), max_line)


def _relay(choice: Choice, acks: Sender | None) -> "Relay | None":
    if not choice.pool.relay:
        return None
    from flowtools.ack.relay import Relay  # Imported late: it loads the side of a source, too.

    assert isinstance(acks, AckSender)  # The relay's lines carry an ackto, which needs a socket.
    return Relay(acks)


def _parts(choice: Choice, shown: _Shown, relay: "Relay | None", stack: ExitStack) -> Parts:
    recorders: list[Recorder] = []
    files: list[Reopened] = []
    if details.are_wanted():
        recorders.append(details.Details())
    if choice.joblog is not None:
        from flowtools.pool.joblog import JobLog

        joblog = stack.enter_context(JobLog(choice.joblog, choice.worker))
        recorders.append(joblog)
        files.append(joblog)
    failures = stack.enter_context(_failed_file(choice.failed)) if choice.failed else None
    if failures is not None:
        files.append(failures)
    notifier = Notifier()
    notifier.ready()
    stack.callback(notifier.stopping)
    return Parts(
        recorders=[*recorders, *shown.recorders],
        failures=failures,
        relay=relay,
        notifier=notifier,
        keep_order=choice.keep_order,
        max_line=choice.max_line,
        files=files,
        spill=_spill(choice),
        in_series=choice.isolation == "process",
    )


def _spill(choice: Choice) -> "Spill | None":
    if choice.failed is None or not stat.S_ISREG(choice.failed.stat().st_mode):
        return None  # Only beside a regular file can there be a directory for long lines.
    from flowtools.pool.oversize import Oversize

    return Oversize(choice.failed)


def _refuse_one_file_for_two(choice: Choice, out: int) -> None:
    """Refuse to write two kinds of lines into one file: no command could read it again.

    Raises:
        UsageError: The job log, the failed file and standard output are not three files.
    """
    seen: dict[tuple[int, int], str] = {}
    with suppress(OSError):
        written = os.fstat(out)
        if stat.S_ISREG(written.st_mode):
            seen[written.st_dev, written.st_ino] = "standard output"
    for option, path in (("--joblog", choice.joblog), ("--failed", choice.failed)):
        if path is None:
            continue
        try:
            found = path.stat()
        except OSError:
            continue  # The file does not exist yet, or opening it reports the error.
        if not stat.S_ISREG(found.st_mode):
            continue
        other = seen.setdefault((found.st_dev, found.st_ino), f"'{option} {path}'")
        if other != f"'{option} {path}'":
            raise UsageError(f"'{option} {path}' is {other}, too; write to another file")
    # Files that do not exist yet can be compared by name only.
    files = [os.path.realpath(path) for path in (choice.joblog, choice.failed) if path]
    if len(files) > len(set(files)):
        raise UsageError(f"'--failed {choice.failed}' is the job log, too; write to another file")


def _refuse_a_circle(choice: Choice, fd: int, out: int) -> None:
    """Refuse an input file to which this run writes: it would never end.

    Raises:
        UsageError: The input is the failed file, the job log or standard output.
    """
    try:
        read = os.fstat(fd)
    except OSError:
        return  # Standard input is closed; reading it reports that.
    if not stat.S_ISREG(read.st_mode):
        return
    for option, path in (("--failed", choice.failed), ("--joblog", choice.joblog)):
        if path is not None and path.exists() and os.path.samestat(path.stat(), read):
            raise UsageError(f"'{option} {path}' is the input, too; move it away first")
    with suppress(OSError):
        if os.path.samestat(os.fstat(out), read):
            raise UsageError("standard output is the input, too; write to another file")


def _failed_file(path: Path) -> "FailedFile":
    from flowtools.pool.failed import FailedFile

    return FailedFile(path)


def _done(choice: Choice) -> Known:
    """Return the events that --resume skips because they are done already."""
    if choice.joblog is None or not choice.resume:
        return ()
    from flowtools.pool.joblog import Done

    return Done.read(choice.joblog)

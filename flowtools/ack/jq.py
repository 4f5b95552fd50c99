"""The work of flow-jq: run a jq program on each event, and pass on the duty to acknowledge it.

The main thread reads, runs the program and writes. The relay (relay.py) decides what happens to the
duty: no output acknowledges the event, one output carries its `ackto`, and several carry addresses
of the relay. An event for which the program fails is rejected. The output is flushed after each
block of input, before the next one is awaited.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import orjson

from flowtools.ack.branches import Branches
from flowtools.ack.records import AckError, Reason, take_ackto, with_ackto
from flowtools.ack.relay import Relay
from flowtools.core.errors import ConfigurationError, EventsFailed, ReaderGone, UsageError
from flowtools.core.event import Event, EventError, NotAnEvent, encode_value, parse
from flowtools.core.lines import MAX_LINE, LineReader
from flowtools.core.log import get_log
from flowtools.core.result import result_of
from flowtools.core.text import counted
from flowtools.core.toolong import TooLong, exceeds
from flowtools.core.unfinished import Unfinished
from flowtools.core.wait import Stop
from flowtools.process.vitals import vitals

RESULT = "flow.jq.result"

_log = get_log("flowtools.jq")


class Program:
    """A compiled jq program."""

    def __init__(self, text: str, variables: Mapping[str, Any]) -> None:
        """Compile `text`; the program can use each of `variables` as $NAME.

        Raises:
            ConfigurationError: The package jq is not installed.
            UsageError: `text` is not a jq program.
        """
        try:
            import jq
        except ImportError:
            raise ConfigurationError(
                "flow-jq needs the package 'jq': pip install 'flowtools[jq]'"
            ) from None
        try:
            self._compiled = jq.compile(text, args=dict(variables))
            self._identity = jq.compile(".")
        except ValueError as error:
            raise UsageError(
                f"cannot compile the program: {' '.join(str(error).split())}"
            ) from None

    def run(self, value: bytes) -> list[Any]:
        """Return the outputs for one JSON value.

        Raises:
            EventError: The program fails.
        """
        try:
            return list(self._compiled.input_text(value.decode()))
        except ValueError as error:
            raise EventError(" ".join(str(error).split()) or "the program failed") from None

    def is_same(self, output: Any, value: bytes) -> bool:
        """Return whether `output` is the JSON value itself, as far as jq can tell."""
        if not isinstance(output, dict) or "specversion" not in output:
            return False
        # Compared as text: to Python true and 1 are equal.
        return repr(output) == repr(self._identity.input_text(value.decode()).first())


class Filter:
    """Runs a program on lines. An event without output is acknowledged; outputs carry the duty."""

    def __init__(
        self, program: Program, relay: Relay, out: Branches, max_line: int = MAX_LINE
    ) -> None:
        """Write to `out`, which has one branch, lines of at most `max_line` bytes."""
        self._max_line = max_line
        self._program = program
        self._relay = relay
        self._out = out
        self._fd = out.open[0]
        self._number = self._failed = 0

    def run(self, reader: LineReader, stop: Stop) -> None:
        """Filter until the input ends or `stop`; then wait until all output lines are settled.

        Raises:
            EventsFailed: Some lines are not JSON, or the program failed for them.
            FlowError: The reader has not taken all lines within the time after `stop`.
            ReaderGone: Nobody reads the output any more.
        """
        at_end = False
        vitals.provide("events_in", lambda: self._number)
        vitals.provide_moment(lambda: reader.read_at)
        vitals.provide("failed", lambda: self._failed)
        try:
            try:
                self._filter_all(reader, stop)
            except ReaderGone:
                self._relay.settle_last(self._out.left)
                raise
            self._relay.wait_until_settled(stop, self._out.left, self._fd)
            # After a stop, lines that were not read or not settled must be delivered again.
            at_end = not stop.is_set()
        finally:
            self._relay.close(bye=at_end)
        if self._failed:
            raise EventsFailed(
                f"the program failed for {self._failed} of {counted(self._number, 'line')}"
            )

    def _filter_all(self, reader: LineReader, stop: Stop) -> None:
        while (block := reader.read()) is not None:
            for line in block:
                self._number += 1
                if line.strip():
                    self._filter(line)
            if not self._out.flush() and stop.is_set():
                self._out.check_written(self._number - len(block) + 1)
                return
            if self._out.take_gone():
                raise ReaderGone

    def _filter(self, line: bytes) -> None:
        bare, ackto = take_ackto(line)
        try:
            # All outputs, before any is written: their number decides about the duty, and if the
            # last one fails, the whole event is rejected.
            lines = [*self._lines_of(bare, line)]
            if found := next(filter(None, (exceeds(x, self._max_line) for x in lines)), None):
                raise EventError(f"an output is too long: {found}")
            acktos = self._relay.carry(ackto, len(lines)) if ackto is not None else []
        except (EventError, AckError) as error:
            self._fail(ackto, error)
            return
        _log.debug(
            "line %d: outputs: %d%s",
            *(self._number, len(lines)),
            "; it is acknowledged" if ackto is not None and not lines else "",
        )
        writer = self._out.open[0].writer if self._out.open else None
        for index, each in enumerate(lines):
            if writer is not None:
                writer.hold(with_ackto(each, acktos[index]) if acktos else each + b"\n")

    def _lines_of(self, bare: bytes, line: bytes) -> Iterator[bytes]:
        """Yield the output lines for one line, without newline and without an `ackto`."""
        if isinstance(line, TooLong):
            raise EventError(line.reason)
        if isinstance(line, Unfinished):
            raise EventError("the input ends within this line, so it is not an event")
        try:
            event: Event | None = parse(bare)
        except NotAnEvent:
            event = None
        for index, value in enumerate(self._program.run(bare)):
            if event is None:
                yield encode_value(value)[:-1]
            elif self._program.is_same(value, bare):
                yield bare.strip()  # The original bytes: jq rounds numbers to 53 bits.
            else:
                yield _event_of(event, value, index)

    def _fail(self, ackto: str | None, error: Exception) -> None:
        self._failed += 1
        _log.error("line %d: %s", self._number, error)
        if ackto is not None:
            # A malformed `ackto` names no source to tell. The line itself has been reported.
            with suppress(AckError):
                self._relay.reject(ackto, Reason.here(str(error), 1, "flow-jq"))


def _event_of(event: Event, value: Any, index: int) -> bytes:
    """Return the line for one output: an event unchanged, any other value as result of `event`."""
    if isinstance(value, dict) and "specversion" in value:
        value.pop("ackto", None)  # The relay adds its own, and a line has only one.
        line = encode_value(value)[:-1]
        parse(line)  # Raises for an invalid event: the next step could never settle it.
        return line
    return result_of(event, value, index, source="flow-jq", type=RESULT).encode()[:-1]


def variables_from(
    texts: Mapping[str, str], values: Mapping[str, str], files: Mapping[str, str]
) -> dict[str, Any]:
    """Return the variables of --arg, --argjson and --slurpfile.

    Raises:
        UsageError: A value, or a file, is not JSON.
        ConfigurationError: A file cannot be read.
    """
    made: dict[str, Any] = dict(texts)
    for name, text in values.items():
        try:
            made[name] = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise UsageError(f"--argjson {name}: '{text}' is not JSON") from None
    for name, path in files.items():
        made[name] = [_json(each, path) for each in _read(path).splitlines() if each.strip()]
    return made


def program_from(path: str) -> str:
    """Return the program in the file `path`.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    return _read(path)


def _json(text: str, path: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise UsageError(f"--slurpfile: '{path}' is not a file of JSON lines") from None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123  a name, not a Path
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"cannot read '{path}': {reason}") from None

"""Helpers to wait for the end of a process and for conditions."""

import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import orjson
from prometheus_client.parser import text_string_to_metric_families

SECONDS = 90
"""Seconds that a test waits for a condition that comes about at once on an idle machine."""


def lines(*values):
    """The input of a command: one line of JSON for each value."""
    return b"".join(orjson.dumps(value) + b"\n" for value in values)


def finish(process, text=b""):
    """Write `text`, close the input, wait for the end: (status, printed values, messages)."""
    out, err = process.communicate(text or None, timeout=SECONDS)
    return process.returncode, [orjson.loads(line) for line in out.splitlines()], err.decode()


def until(condition, what="it", seconds=SECONDS):
    """Wait until `condition()` is true, and return its value; otherwise the test fails."""
    limit = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < limit, f"waited {seconds:g} s for {what}"
        time.sleep(0.01)
    return value


def freeze(process):
    """Stop a process with SIGSTOP, and wait until each of its threads has stopped.

    The kernel wakes one thread, and this one stops the others. Until it has a processor, they go
    on.
    """
    process.send_signal(signal.SIGSTOP)
    tasks = Path(f"/proc/{process.pid}/task")

    def states():
        return {file.read_text().rpartition(")")[2].split()[0] for file in tasks.glob("*/stat")}

    until(lambda: states() == {"T"}, "the stop of all threads")


def is_connected(pid):
    """Whether a flow-work has connected to a source to acknowledge.

    Its thread `ack-sender` connects beside the first attempt. The source notices the death of a
    process only after that.
    """
    folder, held = Path(f"/proc/{pid}/fd"), set()
    for each in folder.iterdir():
        with suppress(OSError):  # It has been closed since.
            held.add(str(each.readlink()))
    sockets = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    seqpacket, connected = f"{socket.SOCK_SEQPACKET:04}", "03"
    return any(
        words[4:6] == [seqpacket, connected] and f"socket:[{words[6]}]" in held for words in sockets
    )


def connect(client, path):
    """Connect to the Unix socket `path`, which exists; it may listen only a moment later."""
    limit = time.monotonic() + SECONDS
    client.settimeout(SECONDS)
    while True:
        try:
            return client.connect(str(path))
        except ConnectionRefusedError:
            assert time.monotonic() < limit, f"nobody listens at {path}"
            time.sleep(0.01)


def metrics_at(path):
    """The samples that a command serves at the Unix socket `path`: {name: value}."""
    with socket.socket(socket.AF_UNIX) as client:
        connect(client, path)
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = client.makefile().read().partition("\n\n")[2]
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples}

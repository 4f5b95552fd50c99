"""Helpers to wait for the end of a process and for conditions."""

import socket
import time

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

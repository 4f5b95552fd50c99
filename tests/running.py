"""Helpers to wait for the end of a process and for conditions."""

import json
import socket
import time

from prometheus_client.parser import text_string_to_metric_families

from tests.stomp_servers import SECONDS


def finish(process, text=b""):
    out, err = process.communicate(text or None, timeout=SECONDS)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()


def until(condition):
    limit = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < limit, "it does not come about"
        time.sleep(0.01)


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

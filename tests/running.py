"""What tests do with a process: its end, and conditions that come about."""

import json
import time

from tests.stomp_servers import SECONDS


def finish(process, text=b""):
    out, err = process.communicate(text or None, timeout=SECONDS)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()


def until(condition):
    limit = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < limit, "it does not come about"
        time.sleep(0.01)

"""A Kafka broker in miniature: the one that kcat's library brings for tests, on a free port.

It speaks Kafka's protocol over a real socket, consumer groups included, and keeps messages
in memory.
"""

import json
import re
import subprocess
from contextlib import contextmanager
from subprocess import PIPE

from tests.running import SECONDS


@contextmanager
def kafka(topic, *messages):
    """HOST:PORT of a broker that has `messages`, JSON values, in `topic`."""
    command = ["kcat", "-P", "-t", topic, "-b", "unused"]
    command += ["-X", "test.mock.num.brokers=1", "-X", "log_level=7", "-d", "mock"]
    # It lives for as long as its standard input is open.
    with subprocess.Popen(command, stdin=PIPE, stderr=PIPE, text=True) as broker:
        try:
            line = broker.stderr.readline()
            address = re.search(r"bootstrap\.servers=(\S+)", line)[1]
            subprocess.run(
                ["kcat", "-P", "-b", address, "-t", topic],
                input="".join(json.dumps(each) + "\n" for each in messages),
                check=True,
                text=True,
                timeout=SECONDS,
            )
            yield address
        finally:
            broker.kill()

"""The examples in a document of ours, and how a person would run them."""

import re
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

from tests.conftest import BIN, environment

SECONDS = 60
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
INDENTED = re.compile(r"(?:^|\n)\n((?:    .*\n)+)")
COMMAND = re.compile(r"^ +(?:\$ |flow-[a-z]|make |pip |git |export |printf |echo |systemctl |for )")


@dataclass(frozen=True)
class Example:
    """A fenced block: the heading it stands below, its language, its text."""

    heading: str
    language: str
    text: str

    def __str__(self):
        return f"{self.heading}: {self.text.strip().splitlines()[0]}"


def examples(path, language="sh"):
    """The fenced blocks of one language in the Markdown file `path`."""
    text = path.read_text()
    headings = [(found.start(), found[1]) for found in HEADING.finditer(FENCE.sub(hidden, text))]
    return [
        Example([name for at, name in headings if at < block.start()][-1], block[1], block[2])
        for block in FENCE.finditer(text)
        if block[1] == language
    ]


def hidden(block):
    """As many characters as `block` has, and no heading among them."""
    return re.sub(r"[^\n]", " ", block[0])


def unfenced(path):
    """Indented blocks that are commands: nothing would run them."""
    text = FENCE.sub(hidden, path.read_text())
    return [block for block in INDENTED.findall(text) if COMMAND.search(block)]


def on_the_stand_in(text, cwd, *, lines=None, **env):
    """Run `text` in bash where a stand-in Viz One changes assets all the time.

    With `lines`, press Control-C once so many have come; without, let it end by itself.
    Gives (status, out, err).
    """
    script = Path(cwd) / "example.sh"
    script.write_text(text)
    stand_in = [BIN / "flow-sim", "--assets", "10000", "--rate", "50", "--"]
    with subprocess.Popen(
        [*stand_in, "bash", "-e", "-o", "pipefail", script],
        cwd=cwd,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    ) as process:
        limit = threading.Timer(SECONDS, process.terminate)
        limit.start()
        try:
            seen = [process.stdout.readline() for _ in range(lines or 0)]
            if lines:
                process.send_signal(signal.SIGINT)  # flow-sim hands it to the whole pipeline.
            out, err = process.communicate(timeout=SECONDS)
        finally:
            limit.cancel()
            process.terminate()
    return process.returncode, b"".join(seen) + out, err.decode()

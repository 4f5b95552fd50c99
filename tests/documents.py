"""The examples in our documents, run as a person would run them."""

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
    """A filler of the same length as `block`, without headings."""
    return re.sub(r"[^\n]", " ", block[0])


def unfenced(path):
    """Commands in indented blocks, which no test would run."""
    text = FENCE.sub(hidden, path.read_text())
    return [block for block in INDENTED.findall(text) if COMMAND.search(block)]


def on_the_stand_in(text, cwd, *, lines=None, **env):
    """Run `text` in bash where a stand-in Viz One changes assets all the time.

    With `lines`, press Control-C after that many lines; otherwise let it end by itself.
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


SAVED = re.compile(r"Save this(?: \w+)? as\s`([\w.]+)`[^`]*\Z")
ELIDED = "…"
NOTICE = re.compile(
    r"^(?:\[\d+\][+-]?  .*|Terminated|Killed"
    r"|(?:.*: line \d+:)? +\d+ (?:Broken pipe|Killed|Terminated|Done) .*)\n",
    re.MULTILINE,
)
"""Messages of bash about jobs, which differ between its versions."""


@dataclass(frozen=True)
class Step:
    """A block of commands, what the page shows as printed, and the files to save before."""

    heading: str
    text: str
    shown: str
    files: dict[str, str]

    def __str__(self):
        return f"{self.heading}: {self.text.strip().splitlines()[0]}"


def steps(path):
    """The steps of a reader of the page, in order: save files and run commands."""
    text = path.read_text()
    headings = [(found.start(), found[1]) for found in HEADING.finditer(FENCE.sub(hidden, text))]
    found, files, end = [], {}, 0
    for block in FENCE.finditer(text):
        heading = [name for at, name in headings if at < block.start()][-1]
        between, end = text[end : block.start()], block.end()
        if name := SAVED.search(between):
            files[name[1]] = block[2]
        elif block[1] == "sh":
            found.append(Step(heading, block[2], "", files))
            files = {}
        elif block[1] == "text":
            assert not between.strip(), f"output that is not right below its commands: {block[0]}"
            found[-1] = Step(heading, found[-1].text, block[2], found[-1].files)
    return found


def session(steps, cwd, within="bash", **env):
    """Run the steps in turn in one shell, started by `within ... bash`.

    Return the output of each step, including standard error.
    """
    script = Path(cwd) / "session.sh"
    lines = ["set -m"]  # Job control, as in an interactive shell.
    for number, step in enumerate(steps):
        # The reader's editor: the file is there before the commands.
        for name, text in step.files.items():
            lines.append(f"cat >{name} <<'END OF FILE'\n{text}END OF FILE")
        lines.append(f"exec >{cwd}/printed.{number} 2>&1\n{step.text}")
    script.write_text("\n".join(lines))
    with subprocess.Popen(
        ["bash", "-c", f"{within} {script}"],
        cwd=cwd,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            process.wait(timeout=3 * SECONDS)
        except subprocess.TimeoutExpired:
            pass  # Steps that were not reached have no output, which the caller reports better.
        finally:
            # Each job has its own process group; all are in one session.
            subprocess.run(["pkill", "-KILL", "--session", str(process.pid)], check=False)
    printed = [Path(cwd) / f"printed.{number}" for number in range(len(steps))]
    return [NOTICE.sub("", path.read_text()) if path.exists() else "NOT RUN\n" for path in printed]


def differences(shown, printed):
    """Return the lines of `shown` that were not printed, and the printed lines that are not shown.

    Figures may differ, there may be more spaces, and an ellipsis matches anything; the order is
    free, since two processes may print at the same time.
    """
    # Newer shells print "Terminated" for a command ended by `timeout`.
    left = [line for line in printed.splitlines() if not line.startswith("Terminated ")]
    missing = []
    for line in sorted(
        shown.splitlines(), key=lambda line: (line.strip() == ELIDED, line.count(ELIDED))
    ):
        there = [each for each in left if re.fullmatch(pattern(line), each.strip())]
        if line.strip() == ELIDED:
            left = []
        elif there:
            left.remove(there[0])
        else:
            missing.append(line)
    return missing, left


def pattern(line):
    """The regular expression of a line that a page shows."""

    def meant(word):
        if word == ELIDED:
            return ".*"
        if word.isdigit():
            return r"\d+"
        return r"\s+" if word.isspace() else re.escape(word)

    return "".join(map(meant, filter(None, re.split(r"(…|\d+|\s+)", line.strip()))))

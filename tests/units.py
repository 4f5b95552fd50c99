"""A unit of contrib/systemd run as systemd runs it: real processes, a real notify socket.

The distinctions made here were observed with systemd 252: whose notifications count, that a
stop signals every process, and again those that outlive the main process.
"""

import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.conftest import ROOT, environment
from tests.running import SECONDS, until

FOLDER = ROOT / "contrib" / "systemd"


def read(name):
    """Return the settings of a unit, each a list of its values."""
    text = (FOLDER / name).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


class Service:
    """An instance of a template unit, with its directories below `folder`."""

    def __init__(self, template, instance, folder, *, watchdog=None, **env):
        self.unit = read(template)
        self.name = template.removesuffix(".service") + instance
        self.instance = instance
        self.folder = folder
        self.watchdog = watchdog  # Seconds, in place of the unit's minute.
        self.process = None
        self.etc = folder / "etc" / instance
        self.etc.mkdir(parents=True)
        self.env = environment(**env) | {"MAINPID": "", "XDG_RUNTIME_DIR": ""}
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.err = folder / "journal"

    def value(self, key):
        (value,) = self.unit[key]
        return self.expanded(value)

    def expanded(self, text):
        for letter, meant in {
            "i": self.instance,
            "N": self.name,
            "t": self.folder / "run",
            "S": self.folder / "lib",
            "L": self.folder / "log",
        }.items():
            text = text.replace(f"%{letter}", str(meant))
        return text.replace("/etc/flowtools/", f"{self.folder}/etc/")

    def path(self, kind):
        """Where the State, Logs or Runtime directory is."""
        base = {"State": "lib", "Logs": "log", "Runtime": "run"}[kind]
        return self.folder / base / self.value(f"{kind}Directory")

    def argv(self, key):
        words = []
        for word in shlex.split(self.value(key)):
            if whole := re.fullmatch(r"\$(\w+)", word):
                words += shlex.split(self.env.get(whole[1], ""))
            else:
                # $NAME within a word is left for the shell.
                words.append(re.sub(r"\$\$|\$\{(\w+)\}", self._replaced, word))
        return words

    def _replaced(self, found):
        return "$" if found[0] == "$$" else self.env.get(found[1], "")

    def start(self):
        self.notify.setblocking(False)
        with suppress(BlockingIOError):
            while True:  # Messages of an earlier start.
                self.notify.recv(100)
        for kind in ("State", "Logs", "Runtime"):
            if f"{kind}Directory" in self.unit:
                self.path(kind).mkdir(parents=True, exist_ok=True)
                self.env[f"{kind.upper()}_DIRECTORY"] = str(self.path(kind))
        for file in map(self.expanded, self.unit["EnvironmentFile"]):
            if not file.startswith("-") or Path(file[1:]).exists():
                lines = Path(file.lstrip("-")).read_text().splitlines()
                self.env |= dict(line.split("=", 1) for line in lines)
        given = self.unit.get("Environment", [])
        self.env |= dict(self.expanded(each).split("=", 1) for each in given)
        self.env |= {"NOTIFY_SOCKET": str(self.folder / "notify")}
        self.env |= {"WATCHDOG_USEC": str(int((self.watchdog or 60) * 1e6))}
        # systemd writes the id of the process that becomes the service there.
        argv = ["/bin/sh", "-c", 'export WATCHDOG_PID=$$; exec "$@"', "sh", *self.argv("ExecStart")]
        with self.err.open("ab") as err:
            self.process = subprocess.Popen(
                argv,
                cwd=self.value("WorkingDirectory"),
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=err,
                stderr=err,
                start_new_session=True,
            )
        self.env["MAINPID"] = str(self.process.pid)

    def hear(self, word, seconds=SECONDS):
        """Wait until the service sends `word` from a process whose notifications count."""
        limit = time.monotonic() + seconds
        everyone = self.unit.get("NotifyAccess") == ["all"]
        while True:
            self.notify.settimeout(max(0.01, limit - time.monotonic()))
            try:
                said, about, _, _ = self.notify.recvmsg(100, 100)
            except TimeoutError:
                raise AssertionError(f"no {word}; {self.messages}") from None
            pid, _, _ = struct.unpack("3i", about[0][2])
            if said == word.encode() and (everyone or pid == self.process.pid):
                return

    @property
    def messages(self):
        return self.err.read_text()

    def processes(self, name=""):
        """The processes of the service; those that run the command `name`."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                pid, stat = int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_text().split("\0")
                is_it = not name or any(Path(word).name == name for word in words[:3])
                if int(stat[3]) == self.process.pid and stat[0] != "Z" and is_it:
                    found.append(pid)
        return found

    def reload(self):
        argv = self.argv("ExecReload")
        subprocess.run(argv, env=self.env, check=True, timeout=SECONDS)

    def stop(self):
        """End the service as `systemctl stop` does; return its status in a shell's form."""
        self.terminate()
        return self.ended()

    def ended(self):
        """Wait for the end of the main process, and end the remaining processes."""
        status = self.process.wait(SECONDS)
        self.terminate()
        until(lambda: not self.processes(), "the end of all processes")
        return 128 - status if status < 0 else status

    def terminate(self):
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def is_clean(self, status):
        """Whether systemd counts the status as a success (systemd.service(5))."""
        more = " ".join(self.unit.get("SuccessExitStatus", [])).split()
        # A signal, or a status that the unit lists.
        ended_by_term = status == 143 and self.process.returncode < 0
        return status == 0 or ended_by_term or str(status) in more

    def is_restarted(self, status):
        assert self.unit["Restart"] == ["always"]
        return str(status) not in self.value("RestartPreventExitStatus").split()

    def close(self):
        if self.process is not None:
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
        self.notify.close()

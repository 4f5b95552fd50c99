"""A network of namespaces on one machine: each has an address and a cable that can be pulled.

A bridge joins the namespaces to the machine itself. `cut` sets a namespace's link down, by which
packets vanish silently in both directions, as when a cable is pulled or a switch dies.
"""

import contextlib
import os
import random
import shutil
import subprocess


class NoNetwork(Exception):
    """Namespaces cannot be made here: root or iproute2 is missing."""


class Network:
    """A bridge, and the namespaces connected to it.

    Attributes:
        home: The machine's own address on the bridge.
    """

    def __init__(self, prefix=None):
        """Make the bridge, with the address 1 of the /24 network `prefix` ("10.77.0").

        Raises:
            NoNetwork: That is not possible here.
        """
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise NoNetwork("namespaces need root and iproute2; see contrib/install-brokers.sh")
        dice = random.SystemRandom()
        self._prefix = prefix or f"10.{dice.randrange(80, 250)}.{dice.randrange(1, 250)}"
        self.home = f"{self._prefix}.1"
        # A link's name has 15 characters at most.
        self._name = f"ft{dice.randrange(16**6):06x}"
        self._spaces = {}
        try:
            ip("link", "add", self._name, "type", "bridge")
        except subprocess.CalledProcessError as error:
            raise NoNetwork(f"no bridge can be made: {error.stderr.decode().strip()}") from None
        ip("addr", "add", f"{self.home}/24", "dev", self._name)
        ip("link", "set", self._name, "up")

    def add(self, number):
        """Make a namespace; return its name and its address, whose last part is `number`."""
        space, address = f"{self._name}-{number}", self.address(number)
        outer, inner = f"{self._name}o{number}", f"{self._name}i{number}"
        ip("netns", "add", space)
        self._spaces[space] = outer
        ip("link", "add", outer, "type", "veth", "peer", "name", inner)
        ip("link", "set", outer, "master", self._name, "up")
        ip("link", "set", inner, "netns", space)
        ip("-n", space, "addr", "add", f"{address}/24", "dev", inner)
        ip("-n", space, "link", "set", inner, "up")
        ip("-n", space, "link", "set", "lo", "up")
        return space, address

    def address(self, number):
        """Return the address that ends with `number`."""
        return f"{self._prefix}.{number}"

    def cut(self, space):
        """Pull the cable of a namespace."""
        ip("link", "set", self._spaces[space], "down")

    def join(self, space):
        """Put the cable back."""
        ip("link", "set", self._spaces[space], "up")

    def close(self):
        """Remove the namespaces and the bridge; processes in them must have ended before."""
        for space in self._spaces:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", space)
        ip("link", "del", self._name)


def ip(*words):
    """Run ip(8).

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    subprocess.run(["ip", *words], check=True, capture_output=True)

"""A Worker that imports the libraries that a Worker for Viz One usually needs."""

import os

import httpx
import lxml.etree


class Heavy:
    """Returns the id of the process that runs it."""

    def configure(self, config):
        assert httpx
        assert lxml.etree

    def start(self, event):
        return os.getpid()

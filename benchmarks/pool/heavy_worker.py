"""A Worker that imports what one for Viz One usually does."""

import os

import httpx
import lxml.etree


class Heavy:
    """Says its process's id."""

    def configure(self, config):
        assert httpx
        assert lxml.etree

    def start(self, event):
        return os.getpid()

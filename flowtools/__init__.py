"""Unix-style commands that connect Viz One, and any STOMP broker, to your own code."""

__version__ = "1.0.0"

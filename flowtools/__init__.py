"""Unix-style commands that wire Viz One, and any STOMP broker, to your own code."""

__version__ = "0.1.0"

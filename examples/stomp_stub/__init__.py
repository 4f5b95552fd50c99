"""StompStub: a minimal Worker for the messages of a STOMP destination."""

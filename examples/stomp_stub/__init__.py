"""StompStub: the least that listens to a STOMP destination."""

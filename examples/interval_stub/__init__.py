"""IntervalStub: a minimal Worker that runs at regular times."""

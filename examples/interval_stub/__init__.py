"""IntervalStub: the least that does something every so often."""

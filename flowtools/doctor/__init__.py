"""flow-doctor: tries, one step after another, all that a source needs, and says what to fix."""

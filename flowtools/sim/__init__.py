"""A stand-in Viz One for development and tests."""

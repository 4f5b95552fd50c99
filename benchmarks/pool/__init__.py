"""Benchmarks of flow-work against its users' alternatives; `benchmarks/run` runs them."""

"""Viz One over HTTP."""

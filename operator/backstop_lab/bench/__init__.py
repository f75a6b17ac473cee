"""Benchmarks on the real cluster: they print figures, and assert nothing about time."""

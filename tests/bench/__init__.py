"""Benchmarks: figures, not verdicts. `make bench`."""

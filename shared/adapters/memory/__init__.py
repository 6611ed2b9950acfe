"""Adapters that keep everything in this process: for tests and the simulator. The same suites as for the real ones run on them."""

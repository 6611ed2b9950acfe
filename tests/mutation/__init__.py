"""Planted faults: each must turn the tests red."""

"""Agreements of several trades with events and expected verdicts, and the vendor simulator of `make run`."""

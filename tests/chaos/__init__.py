"""Faults on the real stack (reliability.md): under load something is killed, stopped or fed with rubbish, then everything is judged.

traffic flows ──► a fault, at a random instant ──► the probe comes through again ──► traffic ends ──► judged
"""

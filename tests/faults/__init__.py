"""Faults done to a tiny study on purpose, and whether it survives them (`make faults`, docs/reliability.md)."""

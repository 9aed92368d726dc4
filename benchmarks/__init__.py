"""Measurements against the sizes the project holds itself to. Run with `make bench`; never part of the tests."""

"""Checks, evidence and the score."""

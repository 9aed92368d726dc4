"""A CSI driver for tests."""

"""Volumes: directories of the node that containers see."""

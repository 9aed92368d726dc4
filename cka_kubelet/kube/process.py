"""What the kernel is told of this process."""

import ctypes

_PR_SET_NAME = 15


def set_process_name(name: str) -> None:
    """What ps and top call this process."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)

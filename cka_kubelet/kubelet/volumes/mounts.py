"""mount(2) and umount(2), for the volumes that live in memory."""

import ctypes
import os
from pathlib import Path

_DETACH = 2


def mount_tmpfs(target: Path, options: str = "") -> None:
    """Put a tmpfs on `target`, unless one is there. Raises OSError."""
    if os.path.ismount(target):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    data = options.encode() or None
    if libc.mount(b"tmpfs", os.fsencode(target), b"tmpfs", ctypes.c_ulong(0), data) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(target))


def unmount(target: Path) -> None:
    """Take away whatever is mounted on `target`, even when it is busy."""
    libc = ctypes.CDLL(None, use_errno=True)
    while os.path.ismount(target):
        if libc.umount2(os.fsencode(target), _DETACH) != 0:
            return

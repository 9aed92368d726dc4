"""Waiting for changes in a directory, through the C library's inotify."""

import asyncio
import ctypes
import os

_CHANGES = 0x2 | 0x80 | 0x100 | 0x200  # IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_DELETE
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


class DirectoryWatch:
    """`await changed()` returns after the next change. Raises OSError when the directory cannot be watched."""

    def __init__(self, path: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(_FLAGS)
        if self._fd < 0 or libc.inotify_add_watch(self._fd, os.fsencode(path), _CHANGES) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._event = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    async def changed(self, timeout: float) -> None:
        """Return after a change, or after `timeout` seconds without one."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        os.read(self._fd, 65536)
        self._event.set()

"""mount(2), umount(2) and mount(8): making, finding and taking away what is mounted on this node."""

import asyncio
import ctypes
import os
import re
from pathlib import Path

_READ_ONLY, _REMOUNT, _BIND = 1, 32, 4096
_DETACH = 2
_OCTAL = re.compile(r"\\([0-7]{3})")


class MountError(Exception):
    """mount(8) failed; the text is upstream's (k8s.io/mount-utils)."""


def points() -> set[str]:
    """Every mount point that this process sees (/proc/self/mountinfo)."""
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    return {_OCTAL.sub(lambda m: chr(int(m[1], 8)), line.split(" ")[4]) for line in lines}


def is_mount_point(target: Path) -> bool:
    """Whether something is mounted on `target`: bind mounts count, which os.path.ismount does not see."""
    return os.path.realpath(target) in points()


def below(folder: Path) -> list[str]:
    """Mount points in and under `folder`, the innermost first."""
    root = os.path.realpath(folder)
    return sorted((p for p in points() if p == root or p.startswith(root + "/")), key=len, reverse=True)


def mount_tmpfs(target: Path, options: str = "") -> None:
    """Put a tmpfs on `target`, unless one is there. Raises OSError."""
    if not os.path.ismount(target):  # a file system of its own always shows, and every sync asks
        _mount(b"tmpfs", target, b"tmpfs", 0, options)


def bind(source: str, target: Path, *, read_only: bool) -> None:
    """Show `source` at `target` too, unless that is done. Raises OSError."""
    if is_mount_point(target):
        return
    _mount(os.fsencode(source), target, b"", _BIND, "")
    if read_only:
        _mount(b"", target, b"", _BIND | _REMOUNT | _READ_ONLY, "")


def _mount(source: bytes, target: Path, kind: bytes, flags: int, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    data = options.encode() or None
    if libc.mount(source, os.fsencode(target), kind, ctypes.c_ulong(flags), data) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(target))


async def mount(source: str, target: Path, kind: str, options: list[str]) -> None:
    """Run mount(8), which knows helpers such as mount.nfs. Raises MountError."""
    arguments = ["-t", kind, *(["-o", ",".join(options)] if options else []), source, str(target)]
    try:
        process = await asyncio.create_subprocess_exec(
            "mount", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output = (await process.communicate())[0].decode(errors="replace")
        failure = f"exit status {process.returncode}" if process.returncode else ""
    except FileNotFoundError:
        output, failure = "", 'exec: "mount": executable file not found in $PATH'
    if failure:
        text = f"Mounting command: mount\nMounting arguments: {' '.join(arguments)}\nOutput: {output}"
        raise MountError(f"mount failed: {failure}\n{text}")


def unmount(target: Path, *, lazily: bool = True) -> None:
    """Take away whatever is mounted on `target`; `lazily` even when it is busy. What stays, stays mounted."""
    libc = ctypes.CDLL(None, use_errno=True)
    while is_mount_point(target):
        if libc.umount2(os.fsencode(target), _DETACH if lazily else 0) != 0:
            return

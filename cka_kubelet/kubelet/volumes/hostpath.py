"""hostPath volumes: the type check, after pkg/volume/hostpath."""

import stat
from collections.abc import Callable
from pathlib import Path


class HostPathError(Exception):
    """The path is not what the volume says; the text is the FailedMount event's."""


_KINDS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "directory"),
    "File": (lambda mode: not stat.S_ISDIR(mode), "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


def check(path: str, kind: str) -> None:
    """Make or check what `kind` (spec.volumes[].hostPath.type) asks for. Raises HostPathError, OSError."""
    if not kind:
        return
    file = Path(path)
    if kind == "DirectoryOrCreate":
        if not file.exists():
            file.mkdir(mode=0o755, parents=True)
        kind = "Directory"
    elif kind == "FileOrCreate":
        if not file.exists():
            file.touch(mode=0o644)
        kind = "File"
    if kind not in _KINDS:
        raise HostPathError(f"{kind} is an invalid volume type")
    test, word = _KINDS[kind]
    if not file.exists() or not test(file.stat().st_mode):
        raise HostPathError(f"hostPath type check failed: {path} is not a {word}")

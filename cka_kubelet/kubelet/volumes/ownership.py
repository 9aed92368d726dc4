"""fsGroup: which files a pod's group owns and how it may use them (pkg/volume/volume_linux.go)."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cka_kubelet.kubelet.pods import objects

_READ_WRITE, _READ, _EXECUTE = 0o660, 0o440, 0o110


def wanted_mode(mode: int, *, read_only: bool) -> int:
    """The mode of a file or directory (st_mode) once the group owns it. Pure."""
    bits = _READ if read_only else _READ_WRITE
    if stat.S_ISDIR(mode):
        bits |= stat.S_ISGID | _EXECUTE
    return stat.S_IMODE(mode) | bits


def group_of(pod: objects.Pod) -> int | None:
    """spec.securityContext.fsGroup."""
    group = _context(pod).get("fsGroup")
    return None if group is None else int(group)


def user_of(pod: objects.Pod) -> int | None:
    """The user that every container of the pod runs as, None when they differ or the image decides."""
    default = _context(pod).get("runAsUser")
    every = [*objects.all_containers(pod), *(pod["spec"].get("ephemeralContainers") or [])]
    users = {(c.get("securityContext") or {}).get("runAsUser", default) for c in every}
    user = users.pop() if len(users) == 1 else None
    return None if user is None else int(user)


def give_to_group(pod: objects.Pod, path: Path, *, read_only: bool, on_mismatch_allowed: bool = False) -> None:
    """Let fsGroup own everything at and below `path`. Raises OSError.

    `on_mismatch_allowed`: fsGroupChangePolicy OnRootMismatch counts for this volume; it does not for ephemeral ones.
    """
    group = group_of(pod)
    if group is None:
        return
    lazy = on_mismatch_allowed and _context(pod).get("fsGroupChangePolicy") == "OnRootMismatch"
    if lazy and _root_matches(path, group, read_only=read_only):
        return
    for entry in _inside_out(path):
        os.chown(entry, -1, group, follow_symlinks=False)
        mode = entry.lstat().st_mode
        if not stat.S_ISLNK(mode):
            entry.chmod(wanted_mode(mode, read_only=read_only))


def _inside_out(path: Path) -> Iterator[Path]:
    """The root comes last, so that a walk that was cut off is seen as a mismatch and done again."""
    for folder, names, files in os.walk(path, topdown=False):
        yield from (Path(folder, name) for name in [*files, *(n for n in names if Path(folder, n).is_symlink())])
        yield Path(folder)


def _root_matches(path: Path, group: int, *, read_only: bool) -> bool:
    found = path.stat()
    needed = wanted_mode(found.st_mode, read_only=read_only)
    return found.st_gid == group and stat.S_IMODE(found.st_mode) == needed


def _context(pod: objects.Pod) -> dict[str, Any]:
    return pod["spec"].get("securityContext") or {}

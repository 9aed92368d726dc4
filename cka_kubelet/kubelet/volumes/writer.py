"""Writing a set of files so that readers see all of the old or all of the new (upstream's AtomicWriter)."""

import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

DATA = "..data"


class File(NamedTuple):
    """Content, permission bits, and the owner's uid (None: root)."""

    content: bytes
    mode: int
    user: int | None = None


Payload = dict[str, File]


def write(target: Path, payload: Payload, own: Callable[[], None] = lambda: None) -> bool:
    """Make `target` show exactly `payload` (by relative path). False when it already did.

    `own` is called when the new files are there but nobody sees them yet: the moment to set their group.

    Raises OSError; ValueError for a path that leads out of the volume.
    """
    for path in payload:
        if path.startswith("/") or ".." in path.split("/") or path.startswith(".."):
            raise ValueError(f"invalid path: {path}")
    current = target / DATA
    if current.is_symlink() and _shows(current, payload):
        return False
    stamp = time.strftime("..%Y_%m_%d_%H_%M_%S.", time.gmtime()) + str(secrets.randbelow(10**10))
    fresh = target / stamp
    fresh.mkdir(mode=0o755)
    fresh.chmod(0o755)
    for path, wanted in payload.items():
        file = fresh / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(wanted.content)
        file.chmod(wanted.mode)
        if wanted.user is not None:
            os.chown(file, wanted.user, -1)
    own()
    old = target / current.readlink() if current.is_symlink() else None
    temporary = target / "..data_tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(stamp)
    temporary.rename(current)
    _link_names(target, {p.split("/")[0] for p in payload})
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _link_names(target: Path, names: set[str]) -> None:
    for entry in list(target.iterdir()):
        if not entry.name.startswith("..") and entry.is_symlink() and entry.name not in names:
            entry.unlink()
    for name in names:
        link = target / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")


def _shows(current: Path, payload: Payload) -> bool:
    found = {str(f.relative_to(current)): f for f in current.rglob("*") if f.is_file()}
    if found.keys() != payload.keys():
        return False
    return all(found[p].read_bytes() == wanted.content for p, wanted in payload.items())

"""One lab at a time. The lock names its owner, so that a lock whose owner is gone is taken over."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from cka_kubelet.errors import BusyError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock while the block runs. Raises BusyError when a living process holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _take(path)
    try:
        yield
    finally:
        if _owner(path) == _me():
            path.unlink(missing_ok=True)


def _take(path: Path) -> None:
    mine = path.with_name(f"{path.name}.{os.getpid()}")
    mine.write_text(json.dumps(_me()), "ascii")
    try:
        for _ in range(3):
            try:
                path.hardlink_to(mine)
            except FileExistsError:
                owner = _owner(path)
                if owner is not None and _alive(owner):
                    raise BusyError(
                        f"another lab is running (process {owner['pid']})",
                        "Finish it there first. Two labs would break each other's nodes.",
                    ) from None
                path.unlink(missing_ok=True)
            else:
                return
        raise BusyError(f"{path} is being taken by others", "Try again.")
    finally:
        mine.unlink(missing_ok=True)


def _me() -> dict[str, str | int]:
    return {"pid": os.getpid(), "started": _started(os.getpid()), "boot": _boot()}


def _boot() -> str:
    return _BOOT_ID.read_text("ascii").strip() if _BOOT_ID.exists() else ""


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; "" when there is none or no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _owner(path: Path) -> dict[str, str | int] | None:
    try:
        owner = json.loads(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) and isinstance(owner.get("pid"), int) else None


def _alive(owner: dict[str, str | int]) -> bool:
    if owner.get("boot") != _boot():
        return False
    pid = int(owner["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return owner.get("started") in ("", _started(pid))

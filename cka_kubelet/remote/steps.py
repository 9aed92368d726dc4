"""Steps: frozen data that says what is done to a node. How it is undone follows from what a step touches.

A step never runs anything. `touches` tells which pre-images to capture; `operations` turns steps and pre-images into
what `nodestate.apply` carries out, so that a text that is not there is found out before the first change.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, assert_never

from cka_kubelet.errors import LabStartError
from cka_kubelet.remote.nodestate import State

UnitAction = Literal["start", "stop", "restart", "enable", "disable", "mask", "unmask"]


@dataclass(frozen=True)
class WriteFile:
    """Give `path` this content. `mode` None: as it is, 0644 for a new file. A link there is replaced by the file."""

    path: str
    data: bytes
    mode: int | None = None


@dataclass(frozen=True)
class ReplaceText:
    """Replace every occurrence of `old` in a file by `new`. `old` must occur."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class RemoveFile:
    """Remove a file or link that is there."""

    path: str


@dataclass(frozen=True)
class Absent:
    """Let nothing be at `path`. A learner who puts something there does so within what restoring takes out again."""

    path: str


@dataclass(frozen=True)
class MoveFile:
    """Rename a file or link; content, owner, mode and times go with it."""

    path: str
    target: str


@dataclass(frozen=True)
class Symlink:
    """Let `path` be a symbolic link to `target`."""

    path: str
    target: str


@dataclass(frozen=True)
class SetMode:
    """Give a file other permission bits."""

    path: str
    mode: int


@dataclass(frozen=True)
class Unit:
    """What `systemctl ACTION UNIT` does."""

    unit: str
    action: UnitAction


@dataclass(frozen=True)
class DaemonReload:
    """`systemctl daemon-reload`. Restoring does it always, so it touches nothing."""


Step: TypeAlias = WriteFile | ReplaceText | RemoveFile | Absent | MoveFile | Symlink | SetMode | Unit | DaemonReload


def touches(steps: Sequence[Step]) -> tuple[list[str], list[str]]:
    """(paths, units) whose pre-images undo these steps, each once, in order; the kubelet last, as it needs the rest."""
    paths: dict[str, None] = {}
    units: dict[str, None] = {}
    for step in steps:
        match step:
            case Unit(unit):
                units[unit] = None
            case MoveFile(path, target):
                paths[path] = paths[target] = None
            case DaemonReload():
                pass
            case _:
                paths[step.path] = None
    return list(paths), sorted(units, key=lambda unit: unit == "kubelet.service")


def operations(steps: Sequence[Step], before: Mapping[str, State]) -> list[dict[str, Any]]:
    """What to do on the node, decided from pre-images alone. Raises LabStartError when a step does not fit them."""
    now: dict[str, State] = dict(before)
    found: list[dict[str, Any]] = []
    for step in steps:
        if isinstance(step, Unit):
            found.append({"do": "unit", "unit": step.unit, "action": step.action})
        elif isinstance(step, DaemonReload):
            found.append({"do": "daemon-reload"})
        else:
            for path, state in _wanted(step, now).items():
                now[path] = state
                found.append({"do": "put", "path": path, "state": {k: v for k, v in state.items() if v is not None}})
    return found


def _wanted(
    step: WriteFile | ReplaceText | RemoveFile | Absent | MoveFile | Symlink | SetMode, now: Mapping[str, State]
) -> dict[str, State]:
    old = now[step.path]
    match step:
        case WriteFile(path, data, mode):
            return {path: _file(old, data, mode)}
        case ReplaceText(path, text, new):
            data = _content(old, path)
            if text.encode() not in data:
                raise LabStartError(f"{path} does not hold the text that this fault changes", _HINT)
            return {path: _file(old, data.replace(text.encode(), new.encode()), None)}
        case RemoveFile(path):
            _present(old, path)
            return {path: {"kind": "absent"}}
        case Absent(path):
            return {path: {"kind": "absent"}}
        case MoveFile(path, target):
            _present(old, path)
            return {target: old, path: {"kind": "absent"}}
        case Symlink(path, target):
            return {path: {"kind": "symlink", "target": target}}
        case SetMode(path, mode):
            _present(old, path)
            return {path: {**old, "mode": mode}}
        case _:
            assert_never(step)


_HINT = "The node is not as a lab expects it. Make it anew: `cka-kubelet nodes destroy`, then start the lab again."


def _file(old: State, data: bytes, mode: int | None) -> State:
    if old["kind"] == "file":
        kept = {"uid": old["uid"], "gid": old["gid"], "mode": old["mode"] if mode is None else mode}
    else:
        kept = {"uid": 0, "gid": 0, "mode": 0o644 if mode is None else mode}
    return {"kind": "file", "data": base64.b64encode(data).decode(), **kept}


def _content(old: State, path: str) -> bytes:
    if old["kind"] != "file":
        raise LabStartError(f"{path} is not a file ({old['kind']})", _HINT)
    return base64.b64decode(old["data"])


def _present(old: State, path: str) -> None:
    if old["kind"] not in ("file", "symlink"):
        raise LabStartError(f"{path} is not there", _HINT)

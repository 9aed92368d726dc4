"""The state of a node's files and units: captured, changed, put back and compared, one round-trip each.

The program in `_agent.py` is sent on stdin and run by the node's python3; nothing of it stays there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from cka_kubelet.errors import CommandError
from cka_kubelet.remote.shell import Shell

State = Mapping[str, Any]
"""What is at one path, or a unit's state, as `_agent.py` reports it; JSON, so that a journal can hold it."""

_AGENT_LIMIT = 64 * 1024 * 1024
UP = ("active", "activating", "reloading")
"""ActiveState values of a unit that is meant to run; a crash loop is `activating`."""


@dataclass(frozen=True)
class Captured:
    """Pre-images: path → state, unit → state, and an API server's object by its path, None when there was none."""

    paths: Mapping[str, State]
    units: Mapping[str, State]
    objects: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"paths": dict(self.paths), "units": dict(self.units), "objects": dict(self.objects)}


def _ask(shell: Shell, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    program = resources.files("cka_kubelet.remote").joinpath("_agent.py").read_text("utf-8")
    call = f"\nmain(json.loads({json.dumps(json.dumps(request))}))\n"
    result = shell.run(["python3", "-I", "-"], input=(program + call).encode(), timeout=timeout, limit=_AGENT_LIMIT)
    try:
        answer = json.loads(result.text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise CommandError(
            f"{shell.name}: python3 on the node gave no usable answer",
            "Is /usr/bin/python3 there intact? Otherwise make the node anew: `cka-kubelet nodes destroy`.",
        )
    if "error" in answer:
        raise CommandError(f"{shell.name}: {answer['error']}")
    return answer


def capture(shell: Shell, paths: Sequence[str], units: Sequence[str]) -> Captured:
    """What is there now. Raises CommandError, NodeUnreachableError."""
    answer = _ask(shell, {"op": "capture", "paths": list(paths), "units": list(units)}, 60)
    return Captured(answer["paths"], answer["units"])


def apply(shell: Shell, operations: Sequence[Mapping[str, Any]]) -> None:
    """Carry out what `steps.operations` decided, in order. Raises CommandError at the first that fails."""
    _ask(shell, {"op": "apply", "operations": list(operations)}, 180)


def restore(shell: Shell, state: Captured) -> tuple[list[str], list[str]]:
    """Put everything back and restart the units that ran. Gives (paths changed, errors); safe to repeat."""
    answer = _ask(shell, {"op": "restore", "paths": dict(state.paths), "units": dict(state.units)}, 300)
    return answer["changed"], answer["errors"]


def manifest(shell: Shell, roots: Sequence[str], exclude: Sequence[str] = ()) -> dict[str, str]:
    """path → one line of kind, mode, owner and content hash, for everything below `roots`."""
    answer = _ask(shell, {"op": "manifest", "roots": list(roots), "exclude": list(exclude)}, 120)
    found: dict[str, str] = answer["manifest"]
    return found


def differences(want: Captured, have: Captured) -> list[str]:
    """What is not as captured, one line each; empty when everything is. Never shows contents."""
    lines: list[str] = []
    for path, state in want.paths.items():
        now = have.paths[path]
        keys = sorted(k for k in {*state, *now} if state.get(k) != now.get(k))
        if state["kind"] == "directory":
            keys = [k for k in keys if k != "mtime_ns"]
        if keys:
            lines.append(f"{path}: {', '.join('content' if k == 'data' else k for k in keys)}")
    for unit, state in want.units.items():
        now = have.units[unit]
        if state["file"] != now["file"] or state["links"] != now["links"]:
            lines.append(f"{unit}: {now['file']}, was {state['file']}")
        if (state["active"] in UP) != (now["active"] in UP):
            lines.append(f"{unit}: {now['active']}, was {state['active']}")
    return lines

"""What a node showed, as plain data in the form of `upstream-1.36/*.json`. Pure: texts and objects in, facts out."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Facts = dict[str, Any]

UNIT_PROPERTIES = (
    "Result", "NRestarts", "ExecMainCode", "ExecMainStatus", "LoadState", "ActiveState", "SubState", "UnitFileState",
)  # fmt: skip

_HEADER = re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([^:\s]+):\d+\] (.*)$", re.DOTALL)
_KEPT_OF_STATE = ("exitCode", "reason", "message", "signal")


def journal(lines: Iterable[str]) -> list[Facts]:
    """Distinct lines that are not INFO, with counts, from `journalctl -o json`. Lines that are not JSON are skipped."""
    found: dict[tuple[str, str, str], int] = {}
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        key = _line(_text(entry.get("MESSAGE")), str(entry.get("SYSLOG_IDENTIFIER", "")))
        if key is not None:
            found[key] = found.get(key, 0) + 1
    return [
        {"severity": severity, "source": source, "text": text, "count": count}
        for (severity, source, text), count in found.items()
    ]


def _text(message: object) -> str:
    """A message as journalctl shows it to a person: a tab is eight spaces. One with odd bytes comes as their values."""
    text = bytes(message).decode("utf-8", "replace") if isinstance(message, list) else str(message or "")
    return text.replace("\t", " " * 8)


def _line(message: str, identifier: str) -> tuple[str, str, str] | None:
    header = _HEADER.match(message)
    if header is None:
        return ("-", identifier, message)
    severity, source, text = header.groups()
    return None if severity == "I" else (severity, source, text)


def unit(text: str) -> dict[str, str]:
    """`systemctl show` of the properties above."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name: values[name] for name in UNIT_PROPERTIES if name in values}


def conditions(node: Mapping[str, Any]) -> Facts:
    """Type → status, reason, message."""
    return {
        entry["type"]: {key: entry.get(key) for key in ("status", "reason", "message")}
        for entry in (node.get("status") or {}).get("conditions") or []
    }


def taints(node: Mapping[str, Any]) -> list[Facts]:
    """The node's taints as the API has them."""
    return list((node.get("spec") or {}).get("taints") or [])


def events(items: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Distinct (kind, type, reason, message), sorted."""
    found = {
        (item["involvedObject"].get("kind", ""), *(item.get(key) or "" for key in ("type", "reason", "message")))
        for item in items
    }
    return [list(event) for event in sorted(found)]


def pods(items: Iterable[Mapping[str, Any]]) -> list[Facts]:
    """Name, phase, reason, message, conditions and container states of each pod."""
    return [_pod(item["metadata"]["name"], item.get("status") or {}) for item in items]


def _pod(name: str, status: Mapping[str, Any]) -> Facts:
    return {
        "name": name,
        "phase": status.get("phase"),
        "reason": status.get("reason"),
        "message": status.get("message"),
        "conditions": {
            entry["type"]: [entry.get("status"), entry.get("reason")] for entry in status.get("conditions") or []
        },
        "containers": [
            {
                **{key: entry.get(key) for key in ("name", "ready", "started", "restartCount")},
                "state": _state(entry.get("state") or {}),
                "lastState": _state(entry.get("lastState") or {}),
            }
            for entry in status.get("containerStatuses") or []
        ],
    }


def _state(state: Mapping[str, Any]) -> Facts:
    return {kind: {key: details[key] for key in _KEPT_OF_STATE if key in details} for kind, details in state.items()}

"""Two recordings of one fault, fact by fact. Pure.

A fact is a text of one aspect (unit, conditions, taints, lines, events, pods). What cannot be the same on another
machine is either masked on both sides or excused; both only as `differences.json` says, each with its reason.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fidelity.masking import mask

ASPECTS = ("unit", "conditions", "taints", "lines", "events", "pods")
SLOWER = 2.5
"""A line that comes this many times more or less often than upstream's is reported: its pace is wrong."""

RECORDED = 420
"""Characters of a line that upstream's recordings keep."""
CUT = " …"

_STRUCTURED = re.compile(r'"(?:[^"\\]|\\.)*"')
_KEY = re.compile(r" (\w+)=")
_BEFORE = "there before the fault: left by the healthy start"


@dataclass(frozen=True)
class Excuse:
    """A fact that may be missing or extra: `fact` is searched in it, `faults` and `aspect` say where."""

    faults: str
    aspect: str
    side: str
    fact: str
    reason: str

    def covers(self, fault: str, aspect: str, side: str, fact: str) -> bool:
        same = aspect == self.aspect and side == self.side and re.fullmatch(self.faults, fault)
        return bool(same and re.search(self.fact, fact))


@dataclass(frozen=True)
class Differences:
    """What is known to differ for a reason of the environment."""

    masks: Sequence[tuple[re.Pattern[str], str]] = ()
    excuses: Sequence[Excuse] = ()

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> "Differences":
        """From `differences.json`. Raises KeyError where a reason is missing, TypeError for an unknown key."""
        masks = [(re.compile(entry["pattern"]), entry["replacement"], entry["reason"]) for entry in document["masks"]]
        return cls([(pattern, to) for pattern, to, _ in masks], [Excuse(**entry) for entry in document["excuses"]])

    def mask(self, text: str) -> str:
        text = mask(text)
        for pattern, replacement in self.masks:
            text = pattern.sub(replacement, text)
        return text


@dataclass
class Comparison:
    """One aspect of one fault. `excused` pairs a fact with its reason."""

    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    excused: list[tuple[str, str]] = field(default_factory=list)


def compare(
    fault: str, expected: Mapping[str, Any], found: Mapping[str, Any], differences: Differences
) -> dict[str, Comparison]:
    """Every aspect of two recordings. `found["events_before"]` are the events that were there before the fault."""
    before = set(_events(found.get("events_before") or (), differences))
    result = {}
    for aspect in ASPECTS:
        theirs, ours = facts(aspect, expected, differences), facts(aspect, found, differences)
        ours = _cut(ours, theirs)
        one = Comparison(matched=[fact for fact in theirs if fact in ours])
        for side, here, there, into in (("missing", theirs, ours, one.missing), ("extra", ours, theirs, one.extra)):
            for fact in here:
                if fact in there:
                    continue
                reason = _excuse(fault, aspect, side, fact, differences)
                if reason is None and aspect == "events" and side == "extra" and fact in before:
                    reason = _BEFORE
                if reason is None:
                    into.append(fact)
                else:
                    one.excused.append((f"{side}: {fact}", reason))
        result[aspect] = one
    return result


def _cut(ours: Mapping[str, int], theirs: Mapping[str, int]) -> dict[str, int]:
    """Our facts, those that begin as a fact which was recorded cut off named as that one."""
    cut = {fact.removesuffix(CUT): fact for fact in theirs if fact.endswith(CUT)}
    named: dict[str, int] = {}
    for fact, count in ours.items():
        name = next((whole for start, whole in cut.items() if fact.startswith(start)), fact)
        named[name] = named.get(name, 0) + count
    return named


def _excuse(fault: str, aspect: str, side: str, fact: str, differences: Differences) -> str | None:
    return next((e.reason for e in differences.excuses if e.covers(fault, aspect, side, fact)), None)


def facts(aspect: str, recording: Mapping[str, Any], differences: Differences) -> dict[str, int]:
    """Fact → how often it was seen, in order of appearance."""
    if aspect == "lines":
        counted: dict[str, int] = {}
        for line in recording["journal"]:
            text = f"{line['severity']} {line['source']} {line_identity(differences.mask(_whole_words(line['text'])))}"
            counted[text] = counted.get(text, 0) + int(line["count"])
        return counted
    if aspect == "events":
        return dict.fromkeys(_events(recording["events"], differences), 1)
    return dict.fromkeys((differences.mask(fact) for fact in _FACTS[aspect](recording)), 1)


def _whole_words(text: str) -> str:
    """A text that was recorded cut off, up to its last whole word and marked; any other as it is."""
    return text[: text.rindex(" ")] + CUT if len(text) == RECORDED else text


def _events(events: Iterable[Sequence[str]], differences: Differences) -> list[str]:
    return [differences.mask(" ".join(event)) for event in events]


def line_identity(text: str) -> str:
    """Message, error and the names of the other keys of a structured line; any other line whole.

    Of a line that was cut off, nothing is said of the key within which it ends, unless that is the error.
    """
    message = _STRUCTURED.match(text)
    if message is None:
        return text
    identity, rest = message.group(), text[message.end() :]
    while key := _KEY.match(rest):
        rest = rest[key.end() :]
        quoted = _STRUCTURED.match(rest)
        following = _KEY.search(rest)
        end = quoted.end() if quoted else following.start() if following else len(rest)
        if quoted is None and rest.startswith('"') and rest.endswith(CUT):  # cut off within this value
            return identity + (f" err={rest}" if key.group(1) == "err" else f" {key.group(1)}=" + CUT)
        identity += f" err={rest[:end]}" if key.group(1) == "err" else f" {key.group(1)}="
        rest = rest[end:]
    return identity


def _unit(recording: Mapping[str, Any]) -> list[str]:
    lines = [f"{key}={value}" for key, value in recording["unit"].items()]
    return [*lines, f"containerd={recording['containerd_unit']}", f"healthz={recording['healthz']}"]


def _conditions(recording: Mapping[str, Any]) -> list[str]:
    return [f"{kind} {c['status']} {c['reason']}: {c['message']}" for kind, c in recording["conditions"].items()]


def _taints(recording: Mapping[str, Any]) -> list[str]:
    return [f"{taint['key']}:{taint['effect']}" for taint in recording["taints"]]


def _pods(recording: Mapping[str, Any]) -> list[str]:
    lines = []
    for pod in recording["pods"]:
        name = pod["name"]
        lines += [f"{name} {key}: {pod[key]}" for key in ("phase", "reason", "message")]
        lines += [f"{name} {kind}: {status} {reason}" for kind, (status, reason) in pod["conditions"].items()]
        for container in pod["containers"]:
            lines += [f"{name}/{container['name']} {key}: {_plain(value)}" for key, value in container.items()]
    return lines


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(value[key])}" for key in sorted(value)) + "}"
    return str(value)


_FACTS = {"unit": _unit, "conditions": _conditions, "taints": _taints, "pods": _pods}


def paces(expected: Mapping[str, Any], found: Mapping[str, Any], differences: Differences) -> list[str]:
    """Repeated lines that both wrote but at another pace, with both counts."""
    theirs = facts("lines", expected, differences)
    ours = _cut(facts("lines", found, differences), theirs)
    return [
        f"{line}: {count} times there, {ours[line]} here"
        for line, count in theirs.items()
        if line in ours and max(count, ours[line]) >= 4 and not 1 / SLOWER < ours[line] / count < SLOWER
    ]

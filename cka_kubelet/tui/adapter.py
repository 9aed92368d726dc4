"""The lab file's and the score's words in the app's. Pure: what carries them is wired elsewhere."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cka_kubelet.labspec.model import Lab
from cka_kubelet.scoring import result
from cka_kubelet.scoring.grading import CAUSE_KEYS
from cka_kubelet.tui.protocols import Choice, LabInfo, NodeState, Question, ResultLine, Score, Verdict


def lab_info(lab: Lab, *, exam: bool = False) -> LabInfo:
    """What the learner may know: no fault, no solution, no answer. Choices are sorted, so that place tells nothing."""
    return LabInfo(
        name=lab.name,
        title=lab.title,
        brief=lab.brief,
        minutes=(lab.minutes[0], lab.minutes[1]),
        hint_prices=() if exam else tuple(hint.price for hint in lab.hints),
        questions=tuple(_question(lab, key) for key in CAUSE_KEYS),
        exam=exam,
        start_on=lab.start_on,
    )


def _question(lab: Lab, key: str) -> Question:
    answer = getattr(lab.cause, key)
    return Question(key, answer.question, tuple(Choice(choice, choice) for choice in sorted(answer.choices)))


def result_lines(lines: Sequence[result.Line]) -> list[ResultLine]:
    """Graded lines, categories kept."""
    return [
        ResultLine(
            line.name, Verdict(line.verdict.value), line.points, line.maximum, line.expected, line.found, line.category
        )
        for line in lines
    ]


def score(graded: result.Score, debrief: str) -> Score:
    """The result with its debrief (Markdown)."""
    return Score(
        result_lines(graded.lines),
        graded.points,
        graded.maximum,
        Verdict(graded.verdict.value),
        graded.seconds,
        graded.penalty,
        debrief,
    )


def node_state(node: Mapping[str, Any]) -> NodeState:
    """A Node object as the API server gives it (JSON). Incomplete objects are fine: nodes are not to be trusted."""
    name = str(_map(node.get("metadata")).get("name", "?"))
    labels = _map(_map(node.get("metadata")).get("labels"))
    prefix = "node-role.kubernetes.io/"
    roles = ",".join(sorted(label[len(prefix) :] for label in labels if label.startswith(prefix)))
    cordoned = _map(node.get("spec")).get("unschedulable") is True
    conditions = _map(node.get("status")).get("conditions")
    for condition in map(_map, conditions if isinstance(conditions, list) else []):
        if condition.get("type") == "Ready" and condition.get("status") in ("True", "False", "Unknown"):
            return NodeState(
                name,
                condition["status"],
                str(condition.get("reason", "")),
                str(condition.get("message", "")),
                _epoch(condition.get("lastTransitionTime")),
                cordoned,
                roles,
            )
    return NodeState(name, "", unschedulable=cordoned, roles=roles)


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _epoch(stamp: object) -> float | None:
    """Seconds since the epoch of a metav1.Time (RFC 3339); None when it is missing or broken."""
    try:
        return datetime.fromisoformat(str(stamp)).timestamp()
    except ValueError:
        return None

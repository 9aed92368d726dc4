"""What the app knows, and the pure rules for showing it. Screens read this; only the app changes it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cka_kubelet.errors import LabError
from cka_kubelet.tui.protocols import LabInfo, NodeState, Phase, Score, SymptomState

if TYPE_CHECKING:
    from cka_kubelet.tui.session import TerminalSession


@dataclass(frozen=True)
class Outcome:
    """How the app ended. `score` is None when nothing was submitted; `restored` when the nodes are as they were."""

    score: Score | None = None
    restored: bool = False
    error: LabError | None = None

    @property
    def exit_code(self) -> int:
        """0 passed, 1 not passed, 130 left without submitting, else the error's own (see errors.py)."""
        if self.error is not None:
            return self.error.exit_code
        if self.score is None:
            return 130
        return 0 if self.score.passed else 1


@dataclass
class PhaseRow:
    """One phase as shown: when it began and ended, in monotonic seconds."""

    phase: Phase
    began: float
    ended: float | None = None

    def seconds(self, now: float) -> float:
        return (self.ended if self.ended is not None else now) - self.began


class PhaseBoard:
    """Phases in the order they were first reported."""

    def __init__(self) -> None:
        self.rows: list[PhaseRow] = []

    def report(self, phase: Phase, now: float) -> None:
        """Take a report in; a phase that ends keeps its time."""
        row = next((row for row in self.rows if row.phase.name == phase.name), None)
        if row is None:
            row = PhaseRow(phase, now)
            self.rows.append(row)
        elif row.phase.state == "waiting":
            row.began = now
        row.phase = phase
        row.ended = now if phase.state in ("done", "failed") else None


@dataclass
class LabState:
    """Everything that changes while a lab runs. Times are monotonic seconds but `node_states`' own."""

    lab: LabInfo
    nodes: Sequence[str]
    preparing: PhaseBoard = field(default_factory=PhaseBoard)
    restoring: PhaseBoard = field(default_factory=PhaseBoard)
    started: float | None = None
    submitted: float | None = None
    node_states: Sequence[NodeState] = ()
    node_error: str = ""
    symptom: SymptomState | None = None
    hints: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    score: Score | None = None
    sessions: "dict[str, TerminalSession]" = field(default_factory=dict)
    node: str = ""

    @property
    def hint_cost(self) -> int:
        """Points given up for hints so far."""
        return sum(self.lab.hint_prices[: len(self.hints)])

    @property
    def hints_left(self) -> int:
        return len(self.lab.hint_prices) - len(self.hints)

    def elapsed(self, now: float) -> float:
        """Seconds on the learner's clock; it stops at submission."""
        if self.started is None:
            return 0.0
        return (self.submitted if self.submitted is not None else now) - self.started


def clock_text(seconds: float) -> str:
    """`3:07`, `1:02:45`."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def age_text(seconds: float) -> str:
    """An age as kubectl prints it: `45s`, `3m7s`, `12m`, `2h5m`, `3d4h` (apimachinery's HumanDuration)."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole}s"
    minutes = whole // 60
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    return f"{days}d{hours % 24}h" if days < 8 and hours % 24 else f"{days}d"


def band_colour(seconds: float, band: tuple[int, int]) -> str:
    """The timer's theme colour: within the quick mark, within the band, beyond it."""
    quick, slow = band
    if seconds <= quick * 60:
        return "success"
    return "warning" if seconds <= slow * 60 else "error"


def node_status(state: NodeState) -> tuple[str, str]:
    """(word as kubectl's STATUS column, theme colour) of a node."""
    word = {"True": "Ready", "False": "NotReady", "Unknown": "NotReady"}.get(state.status, "no answer")
    colour = {"True": "success", "False": "error", "Unknown": "error"}.get(state.status, "secondary")
    if state.unschedulable:
        word += ",SchedulingDisabled"
        colour = "warning" if state.status == "True" else colour
    return word, colour


def printable(text: str) -> str:
    """Text from a node or a lab file without control characters or bidirectional overrides."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)

"""What the app needs of a lab run, and nothing more. The engine is fitted to it by `adapter.py`; tests pass a fake.

Every method that takes time is called from a worker thread, never from the event loop. Each may raise LabError; the
app shows its message and hint. Strings may come from a node or a third party's lab file: the app escapes them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

from cka_kubelet.remote.shell import Terminal


@dataclass(frozen=True)
class Choice:
    """One answer a learner may pick: `value` goes to the score, `label` is shown."""

    value: str
    label: str


@dataclass(frozen=True)
class Question:
    """One part of the cause: which component, which file, what is wrong with it."""

    key: str
    text: str
    choices: Sequence[Choice]


@dataclass(frozen=True)
class LabInfo:
    """What the learner may know before solving it. `brief` is Markdown; `minutes` is the time band (quick, slow).

    `hint_prices` are points, in the order the hints are given. `exam`: no hints and no checks, as in the CKA.
    `start_on`: the node whose terminal is shown first; the first node when empty.
    """

    name: str
    title: str
    brief: str
    minutes: tuple[int, int]
    hint_prices: Sequence[int]
    questions: Sequence[Question]
    exam: bool = False
    start_on: str = ""


@dataclass(frozen=True)
class Phase:
    """Progress of preparing or restoring. The last report of a `name` wins; `detail` is one short line."""

    name: str
    state: Literal["waiting", "running", "done", "failed"]
    detail: str = ""


@dataclass(frozen=True)
class NodeState:
    """The Ready condition of one node. `status` is Kubernetes' True, False or Unknown; "" when nothing is known.

    `since` is seconds since the epoch of the last transition. `unschedulable`: cordoned.
    """

    name: str
    status: Literal["True", "False", "Unknown", ""]
    reason: str = ""
    message: str = ""
    since: float | None = None
    unschedulable: bool = False
    roles: str = ""


@dataclass(frozen=True)
class SymptomState:
    """What the lab is about when it is no node's Ready condition: a pod, a command, the API server.

    `state` is one or two words, `detail` why; `healthy`: as if nothing were broken.
    """

    name: str
    state: str
    healthy: bool
    detail: str = ""
    since: float | None = None


class Verdict(Enum):
    """PASS and FAIL are grades; ERROR means "could not be graded" and never counts as wrong."""

    PASS = "PASS"  # noqa: S105 - a grade
    FAIL = "FAIL"
    ERROR = "ERROR"


@dataclass(frozen=True)
class ResultLine:
    """One graded line. `points` of `maximum`; `expected` and `found` are for people; `category` groups lines."""

    name: str
    verdict: Verdict
    points: float = 0
    maximum: float = 0
    expected: str = ""
    found: str = ""
    category: str = ""


@dataclass(frozen=True)
class Score:
    """The whole result. `penalty`: points taken for hints, already off `points`. `seconds`: hand-over to submission.

    `debrief` is Markdown: what was seen when, the expert's path, what to train next.
    """

    lines: Sequence[ResultLine]
    points: float
    maximum: float
    verdict: Verdict
    seconds: float
    penalty: float = 0
    debrief: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASS


class LabRun(Protocol):
    """One run of one lab, prepared or not. Thread-safe."""

    @property
    def lab(self) -> LabInfo: ...

    @property
    def nodes(self) -> Sequence[str]:
        """The names a terminal can be opened on, in the order of the tabs. Final when `prepare` has ended."""
        ...

    def prepare(self) -> Iterator[Phase]:
        """Bring the lab to the point where its symptom shows. Ends when the learner may start."""
        ...

    def open_terminal(self, node: str, columns: int, rows: int) -> Terminal:
        """A login shell, recorded as evidence."""
        ...

    def node_states(self) -> Sequence[NodeState]:
        """What the API server says of the nodes now. Polled."""
        ...

    def symptom(self) -> SymptomState | None:
        """What is to be seen of the symptom now; None when the nodes' states say it. Polled."""
        ...

    def hint(self) -> str:
        """The next hint's Markdown; its price is taken. Called at most once per entry of `lab.hint_prices`."""
        ...

    def check(self) -> Sequence[ResultLine]:
        """Where the repair stands, without points and without an end."""
        ...

    def submit(self, answers: dict[str, str]) -> Score:
        """Grade the run. `answers` maps a question's key to the chosen value; unanswered ones are absent."""
        ...

    def restore(self) -> Iterator[Phase]:
        """Undo the fault and leave the nodes as they were. Safe to repeat."""
        ...

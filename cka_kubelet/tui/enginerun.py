"""The engine's run as the app's: calls carried, words translated by `adapter`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from cka_kubelet.engine.run import LabRun
from cka_kubelet.errors import LabStartError
from cka_kubelet.labspec.loader import LabFile
from cka_kubelet.remote.shell import Terminal
from cka_kubelet.scoring.witness import NodeFacts
from cka_kubelet.tui import adapter
from cka_kubelet.tui.phases import Progress, phases
from cka_kubelet.tui.protocols import LabInfo, NodeState, Phase, ResultLine, Score, SymptomState


class EngineRun:
    """See `protocols.LabRun`. `begin` gets nodes and makes the engine's run; `end` is called after every restore."""

    def __init__(
        self, file: LabFile, begin: Callable[[Progress], LabRun], end: Callable[[Progress], object], *, exam: bool
    ) -> None:
        self._file = file
        self._begin = begin
        self._end = end
        self._run: LabRun | None = None
        self._info = adapter.lab_info(file.lab, exam=exam)

    @property
    def lab(self) -> LabInfo:
        return self._info

    @property
    def nodes(self) -> Sequence[str]:
        if self._run is None:
            return ()
        names = list(self._run.cluster.nodes)
        start = self._file.lab.start_on
        return sorted(names, key=lambda name: name != start)

    def prepare(self) -> Iterator[Phase]:
        return phases(self._prepare)

    def _prepare(self, progress: Progress) -> None:
        run = self._begin(progress)
        self._run = run
        run.prepare(progress)
        progress("ready", "the clock starts")

    def open_terminal(self, node: str, columns: int, rows: int) -> Terminal:
        return self._started().open_terminal(node, columns, rows)

    def node_states(self) -> Sequence[NodeState]:
        return [_state(facts) for facts in self._started().node_states()]

    def symptom(self) -> SymptomState | None:
        sight = self._started().symptom()
        if sight is None:
            return None
        return SymptomState(sight.subject, sight.state, sight.healthy, sight.detail, sight.since)

    def hint(self) -> str:
        return self._started().hint().text

    def check(self) -> Sequence[ResultLine]:
        return adapter.result_lines(self._started().check())

    def submit(self, answers: dict[str, str]) -> Score:
        run = self._started()
        return adapter.score(run.submit(answers), run.debrief())

    def restore(self) -> Iterator[Phase]:
        return phases(self._restore)

    def _restore(self, progress: Progress) -> None:
        if self._run is not None:
            self._run.restore(progress)
        self._end(progress)

    def _started(self) -> LabRun:
        if self._run is None:
            raise LabStartError("the lab has not started yet", "Wait until its terminal opens.")
        return self._run


def _state(facts: NodeFacts) -> NodeState:
    known: dict[str, Literal["True", "False", "Unknown"]] = {"True": "True", "False": "False", "Unknown": "Unknown"}
    return NodeState(
        facts.name,
        known.get(facts.ready, ""),
        facts.reason,
        facts.message,
        facts.since,
        facts.unschedulable,
        facts.roles,
    )

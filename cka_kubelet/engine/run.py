"""One lab run, from a healthy cluster to a broken one, through the learner's hands, to a restored one."""

import contextlib
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cka_kubelet import paths
from cka_kubelet.clock import Clock, wait_until
from cka_kubelet.engine.debrief import debrief
from cka_kubelet.engine.recorded import RecordedTerminal
from cka_kubelet.engine.target import target_of
from cka_kubelet.engine.watch import SymptomWatch
from cka_kubelet.engine.workload import Workload
from cka_kubelet.errors import EnvironmentError_, LabStartError, UsageError
from cka_kubelet.faults.api import Fault, settle
from cka_kubelet.faults.injection import inject, undo_all
from cka_kubelet.faults.journal import Journal
from cka_kubelet.faults.loader import load
from cka_kubelet.labspec.checks import Check, SurvivesReboot, Unchanged
from cka_kubelet.labspec.loader import LabFile
from cka_kubelet.labspec.model import Evidence, Hint, Lab
from cka_kubelet.labspec.symptoms import NodeSymptom
from cka_kubelet.providers.base import Cluster, Progress
from cka_kubelet.remote import nodestate
from cka_kubelet.remote.kubeapi import KubeAPI
from cka_kubelet.scoring import checks, grading
from cka_kubelet.scoring.checks import Surroundings
from cka_kubelet.scoring.result import Category, Line, Score, Verdict, outcome
from cka_kubelet.scoring.symptoms import Sight
from cka_kubelet.scoring.witness import ApiWitness, NodeFacts
from cka_kubelet.sessions.recorder import Recorder, Rule
from cka_kubelet.sessions.store import Store

CHECKS_A_MINUTE = 10
KUBELET = "kubelet.service"
RESTART_SECONDS = 20.0


class LabRun:
    """One run of one lab on one cluster. Thread-safe where the app needs it; knows nothing of any screen.

    Order: `prepare`, then any of `open_terminal`, `node_states`, `symptom`, `hint`, `check`, then `submit`, then
    `restore`, which may come at any time and more than once.
    """

    def __init__(
        self,
        file: LabFile,
        cluster: Cluster,
        *,
        journal: Journal,
        store: Store,
        clock: Clock,
        seed: int = 0,
        exam: bool = False,
        fault_folder: Path | None = None,
        api: KubeAPI | None = None,
    ) -> None:
        self.file = file
        self.lab: Lab = file.lab
        self.cluster = cluster
        self.exam = exam
        self.recorder = Recorder(clock.now)
        self._journal = journal
        self._store = store
        self._clock = clock
        self._seed = seed
        self._faults = _faults_of(file, fault_folder or paths.data_dir() / "faults")
        _require_nodes(file, cluster)
        self._target = target_of(cluster, api)
        self._kube_api = self._target.api
        self._api = ApiWitness(self._kube_api)
        self._symptom = SymptomWatch(self.lab.symptom, self._api, cluster.shell, clock)
        self._before: dict[str, dict[str, str]] = {}
        self._faulty: dict[str, frozenset[str]] = {}
        self._rules: list[tuple[Evidence, Rule]] = []
        self._run = 0
        self._handed_over = 0.0
        self._hints = 0
        self._unkept = ""
        self._checks: deque[float] = deque()
        self._lock = threading.Lock()

    # -- before the learner

    def prepare(self, progress: Progress) -> None:
        """Baseline, injection, symptom. Raises LabError; then everything that was done is undone again."""
        self._run = self._store.begin(self.lab.name, self.cluster.id, self._seed, self.exam, self._clock.now())
        progress("baseline", "checking the healthy cluster")
        try:
            self._put_objects(self.lab.workload)
            self._require_baseline()
            self._remember_files()
            since = self._api.snapshot().now - 1
            self._inject(progress)
            self._await_restarted_kubelets(since)
            self._put_objects(self.lab.arrives)
            progress("symptom", f"waiting until it shows (at most {self.lab.symptom.within} s)")
            self._symptom.show()
        except BaseException:
            undo_all(self._journal, self._target)
            raise
        for rule in (grading.symptom_rule(self.lab), *self.lab.evidence):
            self._rules.append((rule, self.recorder.watch(rule.saw, rule.ran, rule.on)))
        self._handed_over = self._clock.now()
        self._store.handed_over(self._run, self._handed_over)

    def _put_objects(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Journalled as a fault is, so that what the lab brings leaves with it."""
        if manifests:
            fault, node = Workload(manifests), self._target.control_plane
            inject(self._journal, self._target, self.lab.name, fault, node, {}, now=self._clock.now())

    def _require_baseline(self) -> None:
        around = self._around()
        for check in self.lab.baseline:
            line = checks.run(check, "baseline", around)
            if line.verdict is not Verdict.PASS:
                raise LabStartError(
                    f"the cluster is not healthy, so nothing was broken: {line.name}: {line.found}",
                    "`cka-kubelet nodes destroy` and the lab again gives fresh nodes.",
                )

    def _remember_files(self) -> None:
        for node, roots in _watched(self.lab.lasting).items():
            self._before[node] = nodestate.manifest(self.cluster.shell(node), sorted(roots))

    def _inject(self, progress: Progress) -> None:
        for use in self.lab.faults:
            progress("fault", f"something happens to {use.on}")
            record = inject(
                self._journal,
                self._target,
                self.lab.name,
                self._faults[use.use],
                use.on,
                use.parameters,
                seed=self._seed,
                now=self._clock.now(),
            )
            touched = frozenset(record.before.paths) if record.before else frozenset()
            self._faulty[use.on] = self._faulty.get(use.on, frozenset()) | touched

    def _await_restarted_kubelets(self, since: float) -> None:
        """What arrives must meet what restarted kubelets say of their nodes; else it is placed by what they said before
        and refused by what they know now. `since`: by the API server's clock, whole seconds."""
        if not self.lab.arrives:
            return
        records = self._journal.pending(self.cluster.id)
        nodes = {record.node for record in records if record.before and KUBELET in record.before.units}

        def told() -> bool:
            snapshot = self._api.snapshot()
            return all((snapshot.node(node).heartbeat or 0) >= since for node in nodes)

        wait_until(told, RESTART_SECONDS, self._clock, every=0.2)

    # -- the learner's time

    def open_terminal(self, node: str, columns: int = 80, rows: int = 24) -> RecordedTerminal:
        """A login shell on a node; every byte it prints is evidence."""
        return RecordedTerminal(self.cluster.shell(node).open_terminal(columns, rows), self.recorder.stream(node))

    def node_states(self) -> list[NodeFacts]:
        """What the API server says of the cluster's nodes now."""
        snapshot = self._api.snapshot()
        return [snapshot.node(name) for name in self.cluster.nodes]

    def symptom(self) -> Sight | None:
        """What is to be seen now where the symptom should be; None when `node_states` show just that."""
        return None if isinstance(self.lab.symptom, NodeSymptom) else self._symptom.now()

    def hint(self) -> Hint:
        """The next hint; its price is taken. Raises IndexError when there are no more."""
        with self._lock:
            given = self.lab.hints[self._hints]
            self._hints += 1
        with contextlib.suppress(EnvironmentError_):
            self._store.hinted(self._run)
        return given

    def check(self) -> list[Line]:
        """Where the repair stands, looked at once, without points. Raises UsageError past the limit."""
        self._limit_checks()
        around = self._around(patience=2.0)
        return [checks.run(check, "repair", around) for check in self.lab.repair]

    def _limit_checks(self) -> None:
        """A check costs nothing, so it must not replace looking: at most CHECKS_A_MINUTE in any minute."""
        with self._lock:
            now = self._clock.monotonic()
            while self._checks and self._checks[0] <= now - 60:
                self._checks.popleft()
            if len(self._checks) >= CHECKS_A_MINUTE:
                wait = self._checks[0] + 60 - now
                raise UsageError(
                    f"that were {CHECKS_A_MINUTE} checks within a minute; the next can be made in {wait:.0f} s",
                    "Until then the node itself tells: `kubectl get nodes`, `journalctl -u kubelet`.",
                )
            self._checks.append(now)

    def submit(self, answers: Mapping[str, str], *, patience: float = 900.0, thorough: bool = True) -> Score:
        """Grade the run. `answers`: component, file and reason, by key. The node is rebooted if the lab says so.

        `patience` caps, in seconds, how long a check may wait for what it expects. Not `thorough`: no check of repair
        or lasting is carried out after the first that fails, which is enough to tell that the run is not passed.
        """
        now = self._clock.now()
        around = self._around(patience)
        repaired = self._symptom.gone_since()
        lines = [grading.symptom_line(self.lab, self._first_seen, repaired)]
        lines += grading.evidence_lines(self.lab, self._first_seen, repaired)
        lines += grading.cause_lines(self.lab, answers)
        repair = self._looked_at(self.lab.repair, "repair", around, thorough)
        lines += [*repair, *self._lasting(outcome(repair), around, thorough)]
        penalty = float(sum(hint.price for hint in self.lab.hints[: self._hints]))
        score = grading.score(lines, exam=self.exam, penalty=penalty, seconds=now - self._handed_over)
        self._keep(score, answers)
        return score

    def _first_seen(self, evidence: Evidence) -> float | None:
        return next(rule.first for watched, rule in self._rules if watched == evidence)

    def _lasting(self, repair: Verdict, around: Surroundings, thorough: bool) -> list[Line]:
        """The lasting checks, reboots last; none is looked at while there is no repair that could last."""
        ordered = sorted(self.lab.lasting, key=lambda check: isinstance(check, SurvivesReboot))
        if repair is Verdict.PASS:
            return self._looked_at(ordered, "lasting", around, thorough)
        return [grading.not_repaired(checks.name_of(check), checks.expected(check), repair) for check in ordered]

    def _looked_at(
        self, wanted: Sequence[Check], category: Category, around: Surroundings, thorough: bool
    ) -> list[Line]:
        found: list[Line] = []
        for check in wanted:
            if not thorough and outcome(found) is Verdict.FAIL:
                found.append(grading.not_looked_at(category, checks.name_of(check), checks.expected(check)))
            else:
                found.append(checks.run(check, category, around))
        return found

    def _keep(self, score: Score, answers: Mapping[str, str]) -> None:
        body = {
            "answers": dict(answers),
            "lines": [
                [line.category, line.name, line.verdict.value, line.points, line.maximum] for line in score.lines
            ],
        }
        at = self._clock.now()
        try:
            self._store.add_score(self._run, at, score.verdict.value, score.points, score.maximum, score.seconds, body)
        except EnvironmentError_ as err:  # a full disk costs the entry in the history, never the result itself
            self._unkept = err.message
        else:
            self._unkept = ""

    def debrief(self) -> str:
        """Markdown for after the submission: what was seen when, the learner's way and an expert's."""
        seen = [(rule.what, watched.first) for rule, watched in self._rules]
        return debrief(self.lab, seen, list(self.recorder.commands), self._handed_over, self._unkept)

    # -- after the learner

    def restore(self, progress: Progress) -> list[str]:
        """Undo every injection of this cluster, newest first; gives the paths put back. Raises RestoreError."""
        progress("restore", "putting the nodes back as they were")
        done = undo_all(self._journal, self._target)
        if self._run:
            with contextlib.suppress(EnvironmentError_):
                self._store.ended(self._run, self._clock.now())
        self.close()
        return sorted({path for _, changed in done for path in changed})

    def close(self) -> None:
        """End the connection to the API server; it is made again when it is needed."""
        self._kube_api.close()

    def _around(self, patience: float = 900.0) -> Surroundings:
        return Surroundings(
            self._api, self.cluster.shell, self.cluster.reboot, self._clock, self._before, self._faulty, patience
        )


def _faults_of(file: LabFile, folder: Path) -> dict[str, Fault]:
    """The lab's faults by name. Raises LabFileError where one is unknown or is given what it does not take."""
    found: dict[str, Fault] = {}
    for index, use in enumerate(file.lab.faults):
        try:
            found |= load([use.use], folder)
            settle(found[use.use], use.parameters)
        except UsageError as err:
            raise file.error(("faults", index, "use"), f"{err.message} {err.hint}".strip()) from None
    return found


def _require_nodes(file: LabFile, cluster: Cluster) -> None:
    """Raises LabFileError for a fault on a node that the cluster has not."""
    for index, use in enumerate(file.lab.faults):
        if use.on not in cluster.nodes:
            raise file.error(
                ("faults", index, "on"), f"there is no node {use.on!r} (there are {', '.join(cluster.nodes)})"
            )


def _watched(lasting: Sequence[Check]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for check in lasting:
        if isinstance(check, Unchanged):
            found.setdefault(check.node, set()).update(check.paths)
    return found

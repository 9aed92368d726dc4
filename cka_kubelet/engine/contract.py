"""What every lab must keep: proved on real nodes, lab by lab.

Untouched scores nothing for repair; no wrong repair passes; the reference solution scores full marks, and every other
repair passes; afterwards the nodes are byte for byte as before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cka_kubelet.clock import Clock
from cka_kubelet.engine.play import Player
from cka_kubelet.engine.run import LabRun
from cka_kubelet.errors import LabStartError
from cka_kubelet.labspec.model import Command, Lab, OtherRepair, WrongRepair
from cka_kubelet.providers.base import Cluster, Progress
from cka_kubelet.remote import nodestate
from cka_kubelet.scoring.grading import CAUSE_KEYS
from cka_kubelet.scoring.result import Score, Verdict

ROOTS = ("/etc", "/usr/lib/systemd", "/usr/bin", "/opt/cni", "/var/lib/kubelet/pki", "/var/lib/kubelet/config.yaml",
         "/var/lib/kubelet/kubeadm-flags.env")  # fmt: skip
"""What a fault may touch and a restore must put back."""
LIVE = ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/mtab", "/etc/ld.so.cache")
"""Below ROOTS, but written by the engine or the running system at every boot."""
UNTOUCHED_SECONDS = 3.0
WRONG_SECONDS = 15.0
"""Longer than systemd waits before it starts a failed kubelet again, so that a repair that works has shown."""


@dataclass(frozen=True)
class Broken:
    """One promise that a lab did not keep."""

    promise: str
    found: str


SHOWS = "the healthy cluster passes, and the symptom shows within its deadline"
UNTOUCHED = "untouched scores nothing for repair"
FULL_MARKS = "the reference solution scores full marks"
RESTORED = "restored byte for byte"


def _not_passing(wrong: WrongRepair) -> str:
    return f"this repair must not pass: {wrong.why}"


def _passing(other: OtherRepair) -> str:
    return f"this repair passes too: {other.what}"


def promises(lab: Lab) -> list[str]:
    """What `prove` looks at, in its order."""
    wrong, others = map(_not_passing, lab.wrong_repairs), map(_passing, lab.other_repairs)
    return [SHOWS, UNTOUCHED, *wrong, FULL_MARKS, *others, RESTORED]


def prove(make: Callable[[], LabRun], cluster: Cluster, clock: Clock, progress: Progress) -> list[Broken]:
    """Put one lab through its contract. `make` gives a new run on `cluster` each time. Empty when all is kept."""
    before = files_of(cluster)
    try:
        run = make()
        found = _without_repair(run, clock, progress) + _with_solution(make(), clock, progress)
        for other in run.lab.other_repairs:
            found += _with_other(make(), other, clock, progress)
    except LabStartError as err:
        found = [Broken(promise, err.message) for promise in promises(make().lab)[:-1]]
    after = files_of(cluster)
    changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    return found + [Broken(RESTORED, path) for path in changed]


def _without_repair(run: LabRun, clock: Clock, progress: Progress) -> list[Broken]:
    found: list[Broken] = []
    run.prepare(progress)
    try:
        untouched = run.submit({}, patience=UNTOUCHED_SECONDS, thorough=False)
        if untouched.points_of("repair") > 0 or untouched.verdict is not Verdict.FAIL:
            found.append(Broken(UNTOUCHED, _says(untouched)))
        for wrong in run.lab.wrong_repairs:
            _play(run, wrong.repair, clock)
            score = run.submit({}, patience=WRONG_SECONDS, thorough=False)
            if score.verdict is not Verdict.FAIL:
                found.append(Broken(_not_passing(wrong), _says(score)))
    finally:
        run.restore(progress)
    return found


def _play(run: LabRun, commands: Sequence[Command], clock: Clock) -> None:
    """In terminals of their own: a reboot of the node ends those of before."""
    player = Player(run, clock)
    try:
        player.play(commands)
    finally:
        player.close()


def _with_solution(run: LabRun, clock: Clock, progress: Progress) -> list[Broken]:
    run.prepare(progress)
    try:
        _play(run, [*run.lab.solution.diagnose, *run.lab.solution.repair], clock)
        score = run.submit({key: getattr(run.lab.cause, key).answer for key in CAUSE_KEYS})
    finally:
        run.restore(progress)
    if score.passed and score.points == score.maximum == 100:
        return []
    return [Broken(FULL_MARKS, _says(score))]


def _with_other(run: LabRun, other: OtherRepair, clock: Clock, progress: Progress) -> list[Broken]:
    run.prepare(progress)
    try:
        _play(run, other.repair, clock)
        score = run.submit({})
    finally:
        run.restore(progress)
    return [] if score.passed else [Broken(_passing(other), _says(score))]


def _says(score: Score) -> str:
    lost = [f"{line.name}: {line.verdict.value} ({line.found})" for line in score.lines if line.points < line.maximum]
    return f"{score.verdict.value} with {score.points:g} of {score.maximum:g}; {'; '.join(lost)}"


def files_of(cluster: Cluster) -> dict[str, str]:
    """`node:path` → kind, mode, owner and content hash of everything that a fault may touch."""
    return {
        f"{name}:{path}": line
        for name in cluster.nodes
        for path, line in nodestate.manifest(cluster.shell(name), ROOTS, LIVE).items()
    }

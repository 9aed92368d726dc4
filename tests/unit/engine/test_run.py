"""One lab from beginning to end on nodes made of directories: what is graded, and what is left behind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cka_kubelet.clock import FakeClock
from cka_kubelet.engine.run import CHECKS_A_MINUTE, LabRun
from cka_kubelet.engine.watch import LOOK_SECONDS, SymptomWatch
from cka_kubelet.engine.workload import Workload
from cka_kubelet.errors import EnvironmentError_, LabStartError, NodeUnreachableError, UsageError
from cka_kubelet.faults.injection import Target, inject, undo_all
from cka_kubelet.faults.journal import Journal
from cka_kubelet.labspec import catalogue
from cka_kubelet.labspec.symptoms import CommandSymptom
from cka_kubelet.remote.shell import Result
from cka_kubelet.scoring.grading import CAUSE_KEYS
from cka_kubelet.scoring.result import Verdict
from cka_kubelet.scoring.witness import ApiWitness
from cka_kubelet.sessions.store import Store
from tests.unit.engine.cluster import FakeCluster
from tests.unit.faults.nodes import picture
from tests.unit.faults.objects import FakeObjects

KUBELET = "kubelet.service"
Make = Callable[..., LabRun]


def quiet(phase: str, detail: str) -> None:
    pass


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cluster(tmp_path: Path, clock: FakeClock) -> FakeCluster:
    return FakeCluster(tmp_path, clock)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def make(tmp_path: Path, cluster: FakeCluster, clock: FakeClock, journal: Journal) -> Iterator[Make]:
    store = Store(tmp_path / "history.db")

    def run(lab: str = "notready-1", *, exam: bool = False) -> LabRun:
        return LabRun(
            catalogue.find(lab),
            cluster,
            journal=journal,
            store=store,
            clock=clock,
            exam=exam,
            fault_folder=tmp_path,
            api=cluster,
        )

    yield run
    store.close()


def answers(run: LabRun) -> dict[str, str]:
    return {key: getattr(run.lab.cause, key).answer for key in CAUSE_KEYS}


def look(run: LabRun) -> None:
    run.recorder.stream("controlplane").feed(b"node01   NotReady   <none>   3m\n")
    run.recorder.stream("node01").feed(
        b"     Loaded: loaded (/usr/lib/systemd/system/kubelet.service; disabled; preset: enabled)\n"
        b"     Active: inactive (dead)\n"
    )


def test_a_good_learner_scores_everything(make: Make, cluster: FakeCluster, journal: Journal) -> None:
    before = picture(cluster.shell("node01"))
    run = make()
    run.prepare(quiet)
    assert journal.pending()
    look(run)
    cluster.clock.sleep(120)
    cluster.shell("node01").run(["systemctl", "enable", KUBELET])
    cluster.shell("node01").run(["systemctl", "start", KUBELET])
    score = run.submit(answers(run))
    assert (score.points, score.maximum, score.verdict) == (100, 100, Verdict.PASS)
    assert score.seconds == 120
    assert cluster.reboots == ["node01"]
    run.restore(quiet)
    assert picture(cluster.shell("node01")) == before
    assert journal.pending() == []


def test_an_untouched_lab_scores_nothing_for_repair_and_is_not_rebooted(make: Make, cluster: FakeCluster) -> None:
    run = make()
    run.prepare(quiet)
    score = run.submit({})
    assert (score.points, score.verdict) == (0, Verdict.FAIL)
    assert cluster.reboots == []


def test_started_but_not_enabled_does_not_pass(make: Make, cluster: FakeCluster) -> None:
    run = make()
    run.prepare(quiet)
    cluster.shell("node01").run(["systemctl", "start", KUBELET])
    score = run.submit(answers(run))
    assert score.points_of("repair") == 30
    assert score.verdict is Verdict.FAIL
    failed = [line.name for line in score.category("lasting") if line.verdict is Verdict.FAIL]
    assert failed == ["kubelet.service on node01", "node01 survives a reboot"]


def test_not_thorough_means_up_to_the_first_failure(make: Make, cluster: FakeCluster) -> None:
    run = make()
    run.prepare(quiet)
    cluster.shell("node01").run(["systemctl", "start", KUBELET])
    score = run.submit({}, thorough=False)
    assert score.verdict is Verdict.FAIL
    lasting = score.category("lasting")
    assert "disabled" in lasting[0].found
    assert {line.found for line in lasting[1:]} == {"not looked at after the first failure"}
    assert cluster.reboots == []


def test_what_was_broken_on_the_way_costs(make: Make, cluster: FakeCluster) -> None:
    run = make()
    run.prepare(quiet)
    node = cluster.shell("node01")
    node.run(["systemctl", "enable", KUBELET])
    node.run(["systemctl", "start", KUBELET])
    node.put("/etc/kubernetes/kubelet.conf", b"something else", 0o600)
    score = run.submit(answers(run))
    assert score.verdict is Verdict.FAIL
    assert "/etc/kubernetes/kubelet.conf" in score.category("lasting")[1].found


def test_what_cannot_be_graded_is_an_error(make: Make, cluster: FakeCluster) -> None:
    run = make()
    run.prepare(quiet)
    cluster.down = True
    score = run.submit(answers(run))
    assert score.verdict is Verdict.ERROR
    assert {line.verdict for line in score.category("repair")} == {Verdict.ERROR}


def test_exam_mode_scores_the_outcome_only(make: Make, cluster: FakeCluster) -> None:
    run = make(exam=True)
    run.prepare(quiet)
    cluster.shell("node01").run(["systemctl", "enable", KUBELET])
    cluster.shell("node01").run(["systemctl", "start", KUBELET])
    score = run.submit({})
    assert (score.points, score.maximum, score.passed) == (45, 45, True)


def test_hints_have_their_price(make: Make) -> None:
    run = make()
    run.prepare(quiet)
    look(run)
    assert [run.hint().price, run.hint().price] == [5, 10]
    assert run.submit(answers(run)).penalty == 15


def test_an_unhealthy_cluster_is_not_broken_further(make: Make, cluster: FakeCluster, journal: Journal) -> None:
    cluster.shell("node01").set_units({KUBELET: "active", "containerd.service": "inactive"})
    before = picture(cluster.shell("node01"))
    with pytest.raises(LabStartError, match=r"containerd\.service"):
        make().prepare(quiet)
    assert picture(cluster.shell("node01")) == before
    assert journal.records() == []


def test_the_symptom_comes_at_once_where_the_controller_believes_an_aged_lease(
    make: Make, cluster: FakeCluster
) -> None:
    start = cluster.clock.now()
    make().prepare(quiet)
    assert cluster.aged
    assert cluster.clock.now() - start < 5


def test_without_a_symptom_everything_is_rolled_back(make: Make, cluster: FakeCluster, journal: Journal) -> None:
    before = picture(cluster.shell("node01"))
    with pytest.raises(LabStartError, match="did not show within"):
        make("notready-6").prepare(quiet)  # this API server knows nothing of networks
    assert picture(cluster.shell("node01")) == before
    assert journal.records() == []


def test_ctrl_c_while_waiting_for_the_symptom_rolls_back(
    make: Make, cluster: FakeCluster, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = picture(cluster.shell("node01"))
    run = make("notready-6")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster.clock, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.prepare(quiet)
    assert picture(cluster.shell("node01")) == before
    assert journal.records() == []


def test_restore_can_be_repeated_when_the_node_was_away(make: Make, cluster: FakeCluster, journal: Journal) -> None:
    before = picture(cluster.shell("node01"))
    run = make()
    run.prepare(quiet)

    def away(argv: object) -> None:
        raise NodeUnreachableError("node01: no route to host")

    cluster.shell("node01").fail = away
    with pytest.raises(NodeUnreachableError):
        run.restore(quiet)
    cluster.shell("node01").fail = lambda argv: None
    run.restore(quiet)
    assert run.restore(quiet) == []
    assert picture(cluster.shell("node01")) == before
    assert journal.records() == []


def test_checks_are_limited_and_allowed_again_a_minute_later(make: Make, cluster: FakeCluster) -> None:
    run = make()
    run.prepare(quiet)
    for _ in range(CHECKS_A_MINUTE):
        run.check()
    with pytest.raises(UsageError, match="checks within a minute"):
        run.check()
    cluster.clock.sleep(60)
    assert run.check()


def test_a_full_disk_costs_the_history_and_not_the_score(
    make: Make, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise EnvironmentError_("history.db: the disk is full")

    run = make()
    run.prepare(quiet)
    for name in ("hinted", "add_score", "ended"):
        monkeypatch.setattr(Store, name, full)
    run.hint()
    assert run.submit({}).maximum == 100
    assert "history.db: the disk is full" in run.debrief()
    run.restore(quiet)


def test_the_debrief_shows_ones_own_way_beside_an_experts(make: Make, cluster: FakeCluster) -> None:
    run = make()
    run.prepare(quiet)
    cluster.clock.sleep(65)
    look(run)
    run.recorder.ran("node01", "echo '```'")
    run.recorder.ended("node01", 1)
    text = run.debrief()
    assert "- 01:05 — That the unit is not enabled either" in text
    assert "````text\n01:05  node01: echo '```'   [exit 1]\n````" in text
    assert "node01: systemctl enable --now kubelet" in text
    assert "not in your history" not in text


def test_what_a_lab_brings_leaves_with_it(cluster: FakeCluster, journal: Journal, clock: FakeClock) -> None:
    """Before the baseline and after the fault; journalled, so that a crash in between leaves nothing either."""
    api = FakeObjects({})
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}
    target = Target(cluster.id, cluster.shell, "controlplane", api, clock)
    inject(journal, target, "x", Workload([manifest]), "controlplane", {})
    path = "/api/v1/namespaces/default/configmaps/web"
    assert list(api.objects) == [path]
    [(record, changed)] = undo_all(Journal(journal._directory), target)
    assert (record.fault, changed, api.objects) == ("workload", [path], {})


def test_no_symptom_but_the_nodes_own_is_looked_for_separately(make: Make) -> None:
    run = make()
    run.prepare(quiet)
    assert run.symptom() is None


def test_evidence_counts_until_a_command_works_again(cluster: FakeCluster, clock: FakeClock) -> None:
    shell = cluster.shell("node01")
    fails = True
    shell.answers.append(
        lambda argv, data: Result(tuple(argv), int(fails), b"", b"no such file") if "crictl" in argv else None
    )
    symptom = CommandSymptom(kind="crictl", node="node01", run="crictl ps", fails="no such file")
    watch = SymptomWatch(symptom, ApiWitness(cluster), cluster.shell, clock)
    watch.show()
    assert watch.gone_since() == float("inf")
    clock.sleep(10)
    assert watch.now().shows
    fails = False
    assert watch.now().shows, "no more than one look in LOOK_SECONDS"
    clock.sleep(LOOK_SECONDS)
    assert watch.now().healthy
    mended = clock.now()
    clock.sleep(60)
    assert watch.gone_since() == mended
    with pytest.raises(LabStartError, match=r"did not show within 60 s: `crictl ps` works"):
        watch.show()

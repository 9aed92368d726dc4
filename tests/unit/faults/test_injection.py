"""Every built-in fault: inject, see that it changed something, undo, see that nothing is left of it."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cka_kubelet.errors import LabError, LabStartError, RestoreError, UnsafeTargetError, UsageError
from cka_kubelet.faults import loader
from cka_kubelet.faults.injection import Target, inject, undo, undo_all
from cka_kubelet.faults.journal import Journal
from cka_kubelet.remote.fake import FakeShell
from cka_kubelet.remote.objects import essence
from fault_injectors import FAULTS
from tests.unit.faults.nodes import CLUSTER, picture
from tests.unit.faults.objects import FakeObjects

NOW = 1_795_000_000.0
NAMES = [fault.name for fault in FAULTS]
Nodes = dict[str, FakeShell]


class Killed(BaseException):
    """kill -9: nothing of ours catches it."""


def put_in(journal: Journal, target: Target, name: str, node: str = "node01") -> None:
    inject(journal, target, "notready-x", loader.load([name])[name], node, {}, seed=1, now=NOW)


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_changes_something_and_leaves_nothing(
    name: str, nodes: Nodes, target: Target, api: FakeObjects, journal: Journal
) -> None:
    def now() -> object:
        return picture(nodes["node01"]), {path: essence(body) for path, body in api.objects.items()}

    before = now()
    put_in(journal, target, name)
    assert now() != before
    undo_all(journal, target)
    assert now() == before
    assert journal.pending() == []


@pytest.mark.parametrize("name", ["kubelet-stopped", "client-certificate-expired"])
def test_killed_anywhere_a_fault_can_be_undone(
    name: str, nodes: Nodes, target: Target, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies at every call to the node, before and after it, and at every fsync of the journal, in both directions."""
    before = picture(nodes["node01"])
    points = 0
    for direction in ("inject", "undo"):
        for point in range(100):
            if direction == "undo":
                put_in(journal, target, name)
            if not _dies_at(point, nodes["node01"], direction, journal, target, name, monkeypatch):
                break
            points += 1
            undo_all(Journal(journal._directory), target)
            assert picture(nodes["node01"]) == before, (direction, point)
            assert journal.pending() == []
        undo_all(journal, target)
    assert points > 12


def _dies_at(
    point: int,
    shell: FakeShell,
    direction: str,
    journal: Journal,
    target: Target,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> bool:
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count > point:
            raise Killed

    real_answer, real_write = shell._answer, Journal._write

    def answer(argv: Sequence[str], data: bytes) -> object:
        step()
        result = real_answer(argv, data)
        step()
        return result

    def write(self: Journal, record: object) -> object:
        step()
        result = real_write(self, record)  # type: ignore[arg-type]
        step()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(shell, "_answer", answer)
        patch.setattr(Journal, "_write", write)
        try:
            if direction == "inject":
                put_in(journal, target, name)
            else:
                undo_all(journal, target)
        except Killed:
            return True
    return False


@pytest.mark.parametrize("first", NAMES)
def test_two_faults_come_out_newest_first(first: str, nodes: Nodes, target: Target, journal: Journal) -> None:
    before = picture(nodes["node01"])
    put_in(journal, target, first)
    elsewhere = first in ("kubelet-masked", "unknown-flag", "flags-put-back")  # masked: no restart; the same file
    put_in(journal, target, "cni-config-missing" if elsewhere else "unknown-flag")
    assert [record.fault for record, _ in undo_all(journal, target)][1] == first
    assert picture(nodes["node01"]) == before


def test_what_the_learner_did_to_the_same_files_is_undone_too(nodes: Nodes, target: Target, journal: Journal) -> None:
    node = nodes["node01"]
    before = picture(node)
    put_in(journal, target, "client-certificate-expired")
    link = node.root / "var/lib/kubelet/pki/kubelet-client-current.pem"
    link.unlink()
    link.write_text("a copy instead of a link")
    put_in(journal, target, "kubeconfig-wrong-port")
    conf = node.root / "etc/kubernetes/kubelet.conf"
    conf.unlink()
    conf.symlink_to("/root/other")
    undo_all(journal, target)
    assert picture(node) == before


def test_the_same_seed_breaks_the_same_way(nodes: Nodes, target: Target, journal: Journal) -> None:
    conf = nodes["node01"].root / "etc/kubernetes/kubelet.conf"
    put_in(journal, target, "kubeconfig-wrong-port")
    first = conf.read_bytes()
    undo_all(journal, target)
    put_in(journal, target, "kubeconfig-wrong-port")
    assert conf.read_bytes() == first != b""


@pytest.mark.parametrize(
    "marker",
    [
        None,
        b"",
        b"[]",
        b'{"cluster": "c2", "node": "node01"}',
        b'{"cluster": "c1", "node": "controlplane"}',
        json.dumps({"cluster": CLUSTER, "node": "node01", "machine_id": "f" * 32}).encode(),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_host_without_our_marker_is_not_touched(
    marker: bytes | None, name: str, nodes: Nodes, target: Target, journal: Journal
) -> None:
    node = nodes["node01"]
    if marker is None:
        (node.root / "etc/cka-lab/node.json").unlink()
    else:
        node.put("/etc/cka-lab/node.json", marker)
    before = picture(node)
    with pytest.raises(UnsafeTargetError):
        put_in(journal, target, name)
    assert picture(node) == before
    assert journal.records() == []


def test_a_marker_that_is_a_link_is_refused(nodes: Nodes, target: Target, journal: Journal) -> None:
    marker = nodes["node01"].root / "etc/cka-lab/node.json"
    marker.rename(marker.with_name("real.json"))
    marker.symlink_to("real.json")
    with pytest.raises(UnsafeTargetError):
        put_in(journal, target, "kubelet-stopped")


def test_a_node_that_does_not_fit_is_left_alone(nodes: Nodes, target: Target, journal: Journal) -> None:
    nodes["node01"].put("/etc/kubernetes/kubelet.conf", b"clusters: []\n")
    before = picture(nodes["node01"])
    with pytest.raises(LabStartError, match="no server line"):
        put_in(journal, target, "kubeconfig-wrong-port")
    assert picture(nodes["node01"]) == before


def test_a_damaged_record_is_named(nodes: Nodes, target: Target, journal: Journal) -> None:
    put_in(journal, target, "unknown-flag")
    (path,) = journal._directory.glob("*.json")
    assert path.stat().st_mode & 0o077 == 0
    body = json.loads(path.read_text())
    body["before"] = body["before"][:-8] + "AAAAAAA="
    path.write_text(json.dumps(body))
    with pytest.raises(RestoreError, match=str(path)):
        journal.pending()


def test_what_cannot_be_put_back_is_said(nodes: Nodes, target: Target, journal: Journal) -> None:
    put_in(journal, target, "unknown-flag")
    env = nodes["node01"].root / "var/lib/kubelet/kubeadm-flags.env"
    env.unlink()
    env.mkdir()
    (env / "in-the-way").touch()
    with pytest.raises(RestoreError, match=r"kubeadm-flags\.env"):
        undo_all(journal, target)
    (env / "in-the-way").unlink()
    undo_all(journal, target)
    assert env.read_bytes() == b'KUBELET_KUBEADM_ARGS=""\n'


def test_undo_refuses_a_foreign_node(nodes: Nodes, target: Target, journal: Journal) -> None:
    put_in(journal, target, "unknown-flag")
    record = journal.pending()[0]
    with pytest.raises(UnsafeTargetError):
        undo(journal, record, replace(target, cluster="c2"))


def test_unknown_names_meet_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        loader.load(["kubelet-stoped"])
    assert "kubelet-stopped" in caught.value.hint


@pytest.mark.parametrize("given", [{"portt": 1}, {"port": "6553"}, {"port": True}])
def test_wrong_parameters_are_named(given: dict[str, int | str | bool], target: Target, journal: Journal) -> None:
    fault = loader.load(["kubeconfig-wrong-port"])["kubeconfig-wrong-port"]
    with pytest.raises(LabError, match="port"):
        inject(journal, target, "x", fault, "node01", given)

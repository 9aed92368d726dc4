"""The engine's words in the app's."""

from cka_kubelet.scoring import result
from cka_kubelet.tui.adapter import node_state, score
from cka_kubelet.tui.protocols import NodeState, Verdict

READY = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "cni plugin not initialized"}


def test_a_node_object() -> None:
    node = {
        "metadata": {"name": "node01", "labels": {"node-role.kubernetes.io/control-plane": "", "x": "y"}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "PIDPressure"}, {**READY, "lastTransitionTime": "2026-01-02T03:04:05Z"}]},
    }
    assert node_state(node) == NodeState(
        "node01", "False", "KubeletNotReady", "cni plugin not initialized", 1767323045.0, True, "control-plane"
    )


def test_incomplete_node_objects() -> None:
    for node in (
        {},
        {"metadata": None, "status": {"conditions": None}},
        {"status": {"conditions": [7, {"type": "Ready"}]}},
    ):
        assert node_state(node) == NodeState("?", "")
    broken = {"metadata": {"name": "n"}, "status": {"conditions": [{**READY, "lastTransitionTime": "soon"}]}}
    assert node_state(broken).since is None


def test_a_score_keeps_everything() -> None:
    lines = [result.Line("repair", "node01 is Ready", result.Verdict.ERROR, "Ready", "no answer", 0, 0)]
    shown = score(result.Score(lines, 40, 70, 5, result.Verdict.ERROR, 61.5), "## Debrief")
    assert (shown.points, shown.maximum, shown.penalty, shown.seconds) == (40, 70, 5, 61.5)
    assert shown.verdict is Verdict.ERROR
    assert (shown.lines[0].category, shown.lines[0].verdict) == ("repair", Verdict.ERROR)
    assert not shown.passed

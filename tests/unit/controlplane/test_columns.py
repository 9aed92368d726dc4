"""What kubectl get shows: the STATUS and RESTARTS of pods, a node's words, ages."""

from typing import Any

import pytest

from cka_kubelet.controlplane import columns, podcolumns
from cka_kubelet.kube import age


def _pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}
    return {"metadata": {"name": "p", "creationTimestamp": "then", **metadata}, "spec": spec, "status": status}


def _container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "c", "state": state, "restartCount": 0, "ready": False, **more}


@pytest.mark.parametrize(
    ("status", "metadata", "expected"),
    [
        ({"phase": "Pending"}, {}, ["0/1", "Pending", "0"]),
        (
            {"phase": "Pending", "containerStatuses": [_container({"waiting": {"reason": "ContainerCreating"}})]},
            {},
            ["0/1", "ContainerCreating", "0"],
        ),
        (
            {"phase": "Running", "containerStatuses": [_container({"running": {}}, ready=True)]},
            {},
            ["1/1", "Running", "0"],
        ),
        (
            {"phase": "Running", "containerStatuses": [_container({"running": {}}, ready=True)]},
            {"deletionTimestamp": "now"},
            ["1/1", "Terminating", "0"],
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    _container(
                        {"waiting": {"reason": "CrashLoopBackOff"}},
                        restartCount=3,
                        lastState={"terminated": {"finishedAt": "then"}},
                    )
                ],
            },
            {},
            ["0/1", "CrashLoopBackOff", "3 (9s ago)"],
        ),
        (
            {"phase": "Failed", "containerStatuses": [_container({"terminated": {"exitCode": 3, "reason": "Error"}})]},
            {},
            ["0/1", "Error", "0"],
        ),
        (
            {"phase": "Pending", "initContainerStatuses": [{**_container({"running": {}}), "name": "i"}]},
            {},
            ["0/1", "Init:0/1", "0"],
        ),
        ({"phase": "Failed", "reason": "Evicted"}, {}, ["0/1", "Evicted", "0"]),
    ],
)
def test_pod_status(status: dict[str, Any], metadata: dict[str, Any], expected: list[str]) -> None:
    assert podcolumns.pod_cells(_pod(status, **metadata), lambda _: "9s")[1:4] == expected


def test_node_words() -> None:
    node = {
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}], "nodeInfo": {"kubeletVersion": "v1"}},
    }
    assert columns.node(node, lambda _: "1m")[:5] == ["n", "NotReady,SchedulingDisabled", "control-plane", "1m", "v1"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (5220, "87m"),
        (10800, "3h"),
        (90000, "25h"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert age.short_human_duration(seconds) == text

"""Pods outlive the kubelet and the runtime: what runs is left alone, what was begun is finished, nothing runs twice."""

import json

import pytest

from cka_kubelet.providers.container import ContainerCluster

_IMAGE = "docker.io/library/busybox:1.36"


def _pod(name: str, command: str, **spec: object) -> dict[str, object]:
    def container(called: str, script: str) -> dict[str, object]:
        return {"name": called, "image": _IMAGE, "command": ["sh", "-c", script]}

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"test": "pods"}},
        "spec": {
            "nodeName": "node01",
            "initContainers": [container("init", "sleep 2")],
            "containers": [container("main", command)],
            "terminationGracePeriodSeconds": 5,
            **spec,
        },
    }


def _apply(*pods: dict[str, object]) -> str:
    return f"kubectl apply -f - <<'PODS'\n{json.dumps({'apiVersion': 'v1', 'kind': 'List', 'items': pods})}\nPODS\n"


def _running(cluster: ContainerCluster) -> dict[str, list[str]]:
    """Ids of the running containers by pod."""
    found: dict[str, list[str]] = {}
    for container in json.loads(cluster.shell("node01").run(["crictl", "ps", "-o", "json"]).text)["containers"]:
        found.setdefault(container["labels"]["io.kubernetes.pod.name"], []).append(container["id"])
    return found


@pytest.mark.parametrize("disturb", ["systemctl kill -s KILL kubelet", "systemctl restart containerd"])
def test_pods_outlive_the_kubelet_and_the_runtime(cluster: ContainerCluster, disturb: str) -> None:
    control, node = cluster.shell("controlplane"), cluster.shell("node01")
    dropin = "/run/systemd/system/kubelet.service.d"
    node.script(f"mkdir -p {dropin}; printf '[Service]\\nRestartSec=1\\n' >{dropin}/fast.conf; systemctl daemon-reload")
    # On cgroup v1 systemd leaves the very first sandbox in its slice's devices cgroup, and containerd, when restarted,
    # takes a sandbox without processes for leaked. That one is not looked at.
    control.script(_apply(_pod("first", "exec sleep 9999")))
    control.script("kubectl wait --timeout=90s --for=condition=Ready pod/first", timeout=100)
    goes = _pod("goes", "trap : TERM; while :; do sleep 1; done")
    control.script(_apply(_pod("stays", "exec sleep 9999"), _pod("ends", "sleep 8", restartPolicy="Never"), goes))
    wait = "kubectl wait --timeout=90s"
    control.script(f"{wait} --for=condition=Ready pod/stays pod/ends pod/goes", timeout=100)
    before = _running(cluster)
    control.script(_apply(_pod("comes", "exec sleep 9999")) + "kubectl delete pod goes --wait=false")
    for pause in (1, 2, 3):  # while the new pod's sandbox is made, its init container runs, the old pod is stopped
        node.script(f"sleep {pause}; {disturb}; until [ -S /run/containerd/containerd.sock ]; do sleep 0.1; done")
    control.script(f"{wait} --for=condition=Ready pod/stays pod/comes", timeout=100)
    control.script(f"{wait} --for=jsonpath='{{.status.phase}}'=Succeeded pod/ends", timeout=100)
    control.script(f"{wait} --for=delete pod/goes", timeout=100)
    after = {name: ids for name, ids in _running(cluster).items() if name != "first"}
    assert {name: len(ids) for name, ids in after.items()} == {"comes": 1, "stays": 1}
    assert after["stays"] == before["stays"]
    restarts = "{range .items[*]}{.metadata.name}={.status.containerStatuses[0].restartCount} {end}"
    found = control.run(["kubectl", "get", "pods", "stays", "ends", "-o", f"jsonpath={restarts}"]).text
    assert found.split() == ["stays=0", "ends=0"]

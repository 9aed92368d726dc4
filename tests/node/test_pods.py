"""Pods outlive the kubelet and the runtime: nothing is lost, nothing runs twice."""

import json

import pytest

from cka_kubelet.providers.container import ContainerCluster

_IMAGE = "docker.io/library/busybox:1.36"


def _pod(name: str, command: str, **spec: object) -> dict[str, object]:
    mount = [{"name": "d", "mountPath": "/d"}]

    def container(called: str, script: str) -> dict[str, object]:
        words = ["sh", "-c", f"echo {called} >> /d/{name}; {script}"]
        return {"name": called, "image": _IMAGE, "command": words, "volumeMounts": mount}

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"test": "pods"}},
        "spec": {
            "nodeName": "node01",
            "volumes": [{"name": "d", "hostPath": {"path": "/var/tmp/starts", "type": "DirectoryOrCreate"}}],
            "initContainers": [container("init", "sleep 2")],
            "containers": [container("main", command)],
            "terminationGracePeriodSeconds": 5,
            **spec,
        },
    }


_PODS = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            _pod("stays", "exec sleep 9999"),
            _pod("ends", "sleep 4", restartPolicy="Never"),
            _pod("goes", "trap : TERM; while :; do sleep 1; done"),
        ],
    }
)
_STARTS = "cd /var/tmp/starts; for f in *; do echo $f $(sort $f); done"


@pytest.mark.parametrize("disturb", ["systemctl kill -s KILL kubelet", "systemctl restart containerd"])
def test_every_container_is_started_once(cluster: ContainerCluster, disturb: str) -> None:
    control, node = cluster.shell("controlplane"), cluster.shell("node01")
    dropin = "/run/systemd/system/kubelet.service.d"
    node.script(f"mkdir -p {dropin}; printf '[Service]\\nRestartSec=1\\n' >{dropin}/fast.conf; systemctl daemon-reload")
    control.script(f"kubectl apply -f - <<'PODS'\n{_PODS}\nPODS")
    for pause in (1, 2, 3):  # while sandboxes are made, while init containers run, while main ones start
        node.script(f"sleep {pause}; {disturb}; until [ -S /run/containerd/containerd.sock ]; do sleep 0.1; done")
    wait = "kubectl wait --timeout=90s"
    control.script(f"{wait} --for=condition=Ready pod/stays pod/goes", timeout=100)
    control.script(f"{wait} --for=jsonpath='{{.status.phase}}'=Succeeded pod/ends", timeout=100)
    control.script("kubectl delete pod goes --wait=false")
    node.script(disturb)
    control.script(f"{wait} --for=delete pod/goes", timeout=100)
    assert node.script(_STARTS).text.splitlines() == ["ends init main", "goes init main", "stays init main"]
    restarts = "{range .items[*]}{.metadata.name}={.status.containerStatuses[0].restartCount} {end}"
    found = control.run(["kubectl", "get", "pods", "-l", "test=pods", "-o", f"jsonpath={restarts}"]).text
    assert found.split() == ["ends=0", "stays=0"]
    running = node.run(["crictl", "ps", "-o", "json"]).text
    assert [c["labels"]["io.kubernetes.pod.name"] for c in json.loads(running)["containers"]] == ["stays"]

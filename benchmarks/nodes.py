"""The kubelet and the control plane on real lab nodes: start to Ready, pods to Running, resident memory."""

import json
from statistics import median

from cka_kubelet import wiring
from cka_kubelet.remote.shell import Shell

IMAGE = "docker.io/library/busybox:1.36"

_READY = """
kubectl -n kube-node-lease patch lease node01 --type=merge \\
    -p '{"spec":{"renewTime":"2020-01-01T00:00:00.000000Z"}}' >/dev/null
kubectl wait node/node01 --timeout=60s \\
    --for=jsonpath='{.status.conditions[?(@.type=="Ready")].status}'=Unknown >/dev/null
start=$(date +%s%N)
ssh node01 systemctl start --no-block kubelet
kubectl wait node/node01 --for=condition=Ready --timeout=60s >/dev/null
echo $(( ($(date +%s%N) - start) / 1000000 ))
"""

_PODS = """
start=$(date +%s%N)
kubectl apply -f - >/dev/null <<'PODS'
{manifest}
PODS
kubectl wait pod -l bench=pods --for=jsonpath='{{.status.phase}}'=Running --timeout=120s >/dev/null
echo $(( ($(date +%s%N) - start) / 1000000 ))
"""

# The objects are gone at once, the containers are not: the next run must not pay for stopping the last one's.
_DELETE = """
kubectl delete pod -l bench=pods --grace-period=0 --force --wait=true >/dev/null 2>&1
while [ -n "$(ssh node01 crictl pods -q)" ]; do sleep 0.2; done
"""


def _manifest(count: int) -> str:
    def pod(index: int) -> dict[str, object]:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"bench-{index}", "labels": {"bench": "pods"}},
            "spec": {
                "nodeName": "node01",
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "c", "image": IMAGE, "command": ["/bin/sleep", "9999"]}],
            },
        }

    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod(i) for i in range(count)]})


def _rss_mb(shell: Shell, unit: str) -> float:
    pid = shell.run(["systemctl", "show", "-P", "MainPID", unit]).text.strip()
    status = shell.run(["cat", f"/proc/{pid}/status"]).text
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def _pods_seconds(control: Shell, count: int) -> float:
    return int(control.script(_PODS.format(manifest=_manifest(count)), timeout=180).text) / 1000


def measure_nodes(runs: int = 3) -> dict[str, float]:
    """kubelet_ready_s, kubelet_rss_mb, pods_1_s, pods_10_s, pods_30_s, kubelet_rss_30_mb, control_plane_rss_mb."""
    cluster = wiring.provider(()).acquire(lambda phase, detail: None)
    try:
        control, node = cluster.shell("controlplane"), cluster.shell("node01")
        ready = []
        for _ in range(runs):
            node.run(["systemctl", "stop", "kubelet"])
            ready.append(int(control.script(_READY, timeout=150).text) / 1000)
        figures = {"kubelet_ready_s": median(ready), "kubelet_rss_mb": _rss_mb(node, "kubelet")}
        for count in (1, 10, 30):
            times = []
            for run in range(runs):
                times.append(_pods_seconds(control, count))
                if count == 30 and run == runs - 1:
                    figures["kubelet_rss_30_mb"] = _rss_mb(node, "kubelet")
                control.script(_DELETE, timeout=180, check=False)
            figures[f"pods_{count}_s"] = median(times)
        figures["control_plane_rss_mb"] = _rss_mb(control, "kube-apiserver")
        return figures
    finally:
        cluster.destroy()

"""A cluster whose API server keeps its objects in a real etcd, both as static pods: what learners do to it."""

import json
from collections.abc import Callable, Iterator

import pytest

from cka_kubelet.clock import SystemClock, wait_until
from cka_kubelet.providers.container import ContainerCluster, ContainerProvider

_ETCDCTL = (
    "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt "
    "--cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key "
)
_MANIFESTS = "/etc/kubernetes/manifests"
_WRITER = """
import json, subprocess, sys
acked = []
for number in range(int(sys.argv[1])):
    made = subprocess.run(["kubectl", "create", "configmap", f"w{number}"], capture_output=True)
    if made.returncode == 0:
        acked.append(f"w{number}")
print(json.dumps(acked))
"""


@pytest.fixture(scope="module")
def cluster(provider: ContainerProvider) -> Iterator[ContainerCluster]:
    """Two nodes, the control plane as static pods. `provider` only for its home."""
    nodes = ContainerProvider(control_plane="static-pods").acquire(lambda phase, detail: None)
    yield nodes
    nodes.destroy()


def script(cluster: ContainerCluster, text: str, timeout: float = 60.0) -> str:
    return cluster.shell("controlplane").script(text, timeout=timeout).text


def until(what: Callable[[], bool], seconds: float = 120.0) -> None:
    assert wait_until(what, seconds, SystemClock(), every=0.5), "it did not happen"


def works(cluster: ContainerCluster, *words: str) -> bool:
    return cluster.shell("controlplane").run(["kubectl", "--request-timeout=5s", *words], check=False).ok


def test_keys_are_upstreams(cluster: ContainerCluster) -> None:
    keys = script(cluster, _ETCDCTL + "get --prefix --keys-only /registry").split()
    for key in (
        "/registry/minions/node01",
        "/registry/namespaces/kube-system",
        "/registry/leases/kube-node-lease/node01",
        "/registry/services/specs/default/kubernetes",
        "/registry/services/endpoints/default/kubernetes",
        "/registry/clusterroles/cluster-admin",
        "/registry/pods/kube-system/etcd-controlplane",
    ):
        assert key in keys


def test_what_etcdctl_does_is_seen_at_once(cluster: ContainerCluster) -> None:
    script(cluster, "kubectl create configmap seen --from-literal=a=b")
    value = json.loads(script(cluster, _ETCDCTL + "get --print-value-only /registry/configmaps/default/seen"))
    assert value["data"] == {"a": "b"}
    assert "resourceVersion" not in value["metadata"]
    script(cluster, _ETCDCTL + "del /registry/configmaps/default/seen")
    assert not works(cluster, "get", "configmap", "seen")


def test_nothing_acknowledged_is_lost_when_etcd_and_the_api_server_are_killed(cluster: ContainerCluster) -> None:
    text = f"""
        (for pattern in '^etcd ' /usr/local/bin/kube-apiserver '^etcd '; do
          sleep 3; pkill -KILL -o -f "$pattern" || true
        done) &
        python3 - 150 <<'END'
{_WRITER}END
        wait
    """
    acked = json.loads(script(cluster, text, timeout=300).splitlines()[-1])
    assert acked
    until(lambda: works(cluster, "get", "--raw", "/readyz"))
    have = set(script(cluster, "kubectl get configmaps -o name").split())
    assert [name for name in acked if f"configmap/{name}" not in have] == []


def test_without_etcd_the_api_server_says_so_and_comes_back(cluster: ContainerCluster) -> None:
    script(cluster, f"mv {_MANIFESTS}/etcd.yaml /root/")
    control = cluster.shell("controlplane")
    until(lambda: not works(cluster, "get", "nodes"))
    control.script("pkill -KILL -o -f /usr/local/bin/kube-apiserver")  # its probes would, minutes later
    logs = ""

    def told() -> bool:
        nonlocal logs
        logs += control.script("cat /var/log/pods/kube-system_kube-apiserver-*/kube-apiserver/*.log").text
        return "instance.go:233] Error creating leases: error creating storage factory: context deadline" in logs

    try:
        until(told)  # it is started again, and finds nobody
        assert 'desc = "transport: Error while dialing: dial tcp 127.0.0.1:2379: connect: connection refused"' in logs
    finally:
        script(cluster, f"mv /root/etcd.yaml {_MANIFESTS}/")
    until(lambda: works(cluster, "get", "nodes"), 400)


def test_a_snapshot_brings_back_what_was(cluster: ContainerCluster) -> None:
    script(cluster, "kubectl create configmap before; " + _ETCDCTL + "snapshot save /root/snapshot.db")
    script(cluster, "kubectl create configmap after")
    script(
        cluster,
        f"mkdir -p /root/away; mv {_MANIFESTS}/*.yaml /root/away/; "
        "while pgrep -f '^etcd |/usr/local/bin/kube-apiserver' > /dev/null; do sleep 1; done; "
        "rm -rf /var/lib/etcd/member; "
        "etcdutl snapshot restore /root/snapshot.db --data-dir /root/restored --name controlplane "
        "--initial-cluster controlplane=https://127.0.0.1:2380 --initial-advertise-peer-urls https://127.0.0.1:2380; "
        f"mv /root/restored/member /var/lib/etcd/; mv /root/away/*.yaml {_MANIFESTS}/",
        timeout=120,
    )
    until(lambda: works(cluster, "get", "configmap", "before"), 300)
    assert not works(cluster, "get", "configmap", "after")
    until(lambda: works(cluster, "wait", "--for=condition=Ready", "node/node01", "--timeout=1s"), 180)
    script(cluster, "kubectl run later --image=docker.io/library/busybox:1.36 --restart=Never -- sleep 60")
    until(lambda: works(cluster, "wait", "--for=condition=Ready", "pod/later", "--timeout=1s"), 180)

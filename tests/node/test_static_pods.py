"""A control plane as kubeadm leaves it: static pods of our kubelet, an etcd of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cka_kubelet.clock import SystemClock, wait_until
from cka_kubelet.kube import staticpods
from cka_kubelet.providers.container import ContainerCluster, ContainerProvider
from cka_kubelet.remote.shell import Shell

SERVER = "/etc/kubernetes/manifests/kube-apiserver.yaml"
SAVE = """
cd /etc/kubernetes/pki/etcd
export ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 ETCDCTL_CACERT=ca.crt ETCDCTL_CERT=server.crt ETCDCTL_KEY=server.key
etcdctl snapshot save /root/snapshot.db
"""
RESTORE = """
mv /etc/kubernetes/manifests/*.yaml /root/
until [ -z "$(crictl ps -q)" ]; do sleep 0.2; done
rm -rf /var/lib/etcd.old && mv /var/lib/etcd /var/lib/etcd.old
etcdutl snapshot restore /root/snapshot.db --data-dir /var/lib/etcd >/dev/null 2>&1
mv /root/etcd.yaml /root/kube-*.yaml /etc/kubernetes/manifests/
until curl -fsk -m 2 {server}/readyz >/dev/null; do sleep 0.2; done
"""


@pytest.fixture(scope="module")
def static(home: Path) -> Iterator[ContainerCluster]:
    log: list[str] = []
    nodes = ContainerProvider(control_plane="static-pods").acquire(lambda phase, detail: log.append(detail))
    yield nodes
    nodes.destroy()


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    return wait_until(condition, seconds, SystemClock(), every=0.3)


def api_answers(shell: Shell) -> bool:
    return shell.run(["kubectl", "get", "--raw", "/readyz"], check=False).text == "ok"


def test_the_four_run_and_say_so(static: ContainerCluster) -> None:
    control = static.shell("controlplane")

    def states() -> list[list[str]]:
        listed = control.run(["kubectl", "get", "pods", "-n", "kube-system", "--no-headers"], check=False).text
        return [line.split()[:3] for line in listed.splitlines()]

    wanted = [[f"{name}-controlplane", "1/1", "Running"] for name in staticpods.COMPONENTS]
    assert eventually(lambda: states() == wanted), states()
    names = control.run(["crictl", "images"]).text
    for image in staticpods.IMAGES.values():
        repository, _, tag = image.rpartition(":")
        assert any(line.split()[:2] == [repository, tag] for line in names.splitlines()), image


def test_a_wrong_flag_takes_the_api_server_down_until_it_is_taken_out(static: ContainerCluster) -> None:
    control = static.shell("controlplane")
    control.run(["sed", "-i", "s/^    - --allow-privileged=true/&\\n    - --magic=true/", SERVER])
    said = "crictl logs $(crictl ps -aq --name kube-apiserver | head -1) 2>&1"
    assert eventually(lambda: "Error: unknown flag: --magic" in control.run(["sh", "-c", said], check=False).text)
    assert not api_answers(control)
    assert (
        "unknown flag: --magic" in control.script("tail -qn 1 /var/log/pods/kube-system_kube-apiserver-*/*/*.log").text
    )
    control.run(["sed", "-i", "/--magic/d", SERVER])
    assert eventually(lambda: api_answers(control))


def test_a_snapshot_of_etcd_brings_back_what_was_deleted(static: ContainerCluster) -> None:
    control = static.shell("controlplane")
    control.run(["kubectl", "create", "configmap", "kept"])
    control.script(SAVE)
    control.run(["kubectl", "delete", "configmap", "kept"])
    server = f"https://{static.nodes['controlplane'].address}:6443"
    control.script(RESTORE.format(server=server), timeout=90)
    assert eventually(lambda: control.run(["kubectl", "get", "configmap", "kept"], check=False).ok)


def test_a_reboot_brings_it_all_back(static: ContainerCluster) -> None:
    static.reboot("controlplane")
    control = static.shell("controlplane")
    assert eventually(lambda: api_answers(control), 90)
    assert control.run(["kubectl", "wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s"], timeout=90).ok

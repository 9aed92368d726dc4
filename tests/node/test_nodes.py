"""Nodes as a learner gets them: kubeadm's files, real systemd and containerd, provisioned once, removed cleanly."""

import json
from datetime import UTC, datetime

import pytest

from cka_kubelet.errors import HostKeyError
from cka_kubelet.providers import identity
from cka_kubelet.providers.container import ContainerCluster, ContainerProvider, container_name
from cka_kubelet.providers.engine import find_engine
from cka_kubelet.provision.pki import NodeName, make_pki
from cka_kubelet.provision.provisioner import provision_cluster
from cka_kubelet.provision.spec import SERVICE_IP, ClusterSpec, node_specs
from cka_kubelet.remote.ssh import SSHShell, SSHTarget


def kubectl(cluster: ContainerCluster, *words: str) -> str:
    return cluster.shell("controlplane").run(["kubectl", *words]).text


def test_both_nodes_are_ready_with_kubeadms_roles_and_our_version(cluster: ContainerCluster) -> None:
    items = json.loads(kubectl(cluster, "get", "nodes", "-o", "json"))["items"]
    about = {item["metadata"]["name"]: item for item in items}
    assert set(about) == {"controlplane", "node01"}
    for item in items:
        conditions = {entry["type"]: entry["status"] for entry in item["status"]["conditions"]}
        assert conditions["Ready"] == "True"
        assert item["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.2+cka"
        assert item["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    taints = about["controlplane"]["spec"]["taints"]
    assert [(taint["key"], taint["effect"]) for taint in taints] == [
        ("node-role.kubernetes.io/control-plane", "NoSchedule")
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/var/lib/kubelet/config.yaml",
        "/var/lib/kubelet/kubeadm-flags.env",
        "/etc/kubernetes/kubelet.conf",
        "/etc/kubernetes/pki/ca.crt",
        "/usr/lib/systemd/system/kubelet.service",
        "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
        "/etc/crictl.yaml",
        "/etc/cni/net.d/10-bridge.conflist",
    ],
)
def test_files_are_where_kubeadm_puts_them(cluster: ContainerCluster, path: str) -> None:
    assert cluster.shell("node01").read_file(path)


def test_a_pod_runs_logs_and_executes(cluster: ContainerCluster) -> None:
    control = cluster.shell("controlplane")
    kubectl(cluster, "run", "hello", "--image=docker.io/library/busybox:1.36", "--restart=Never", "--command", "--",
            "sh", "-c", "echo it works; sleep 600")  # fmt: skip
    kubectl(cluster, "wait", "--for=condition=Ready", "pod/hello", "--timeout=60s")
    assert kubectl(cluster, "get", "pod", "hello", "-o", "jsonpath={.spec.nodeName}") == "node01"
    assert kubectl(cluster, "logs", "hello") == "it works\n"
    assert control.run(["kubectl", "exec", "hello", "--", "sh", "-c", "echo $HOSTNAME"]).text == "hello\n"
    assert "hello" in cluster.shell("node01").run(["crictl", "ps"]).text
    kubectl(cluster, "delete", "pod", "hello", "--grace-period=1")


def test_a_list_can_be_applied(cluster: ContainerCluster) -> None:
    names = ("one", "two")
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in names]
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
    done = cluster.shell("controlplane").run(["kubectl", "apply", "-f", "-"], input=document)
    assert done.text == "configmap/one created\nconfigmap/two created\n"


def test_pods_on_different_nodes_reach_each_other(cluster: ContainerCluster) -> None:
    kubectl(cluster, "run", "web", "--image=docker.io/library/cka-web:1.0")
    kubectl(cluster, "wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    address = kubectl(cluster, "get", "pod", "web", "-o", "jsonpath={.status.podIP}")
    assert cluster.shell("controlplane").run(["curl", "-sS", "-m", "5", f"http://{address}:8080/"]).stdout


def test_a_reboot_brings_the_node_back_ready(cluster: ContainerCluster) -> None:
    before = cluster.shell("node01").run(["systemctl", "show", "-P", "UserspaceTimestampMonotonic"]).text
    cluster.reboot("node01")
    assert cluster.shell("node01").run(["systemctl", "show", "-P", "UserspaceTimestampMonotonic"]).text != before
    kubectl(cluster, "wait", "--for=condition=Ready", "node/node01", "--timeout=60s")


def test_provisioning_again_takes_no_step(cluster: ContainerCluster) -> None:
    addresses = {name: node.address for name, node in cluster.nodes.items()}
    names = [NodeName(name, address) for name, address in addresses.items()]
    pki = make_pki(names[0], names, SERVICE_IP, datetime.now(UTC))
    spec = ClusterSpec(cluster.id, node_specs(addresses), pki, *identity.new_ssh_key("root@lab"))
    shells = {name: cluster.shell(name) for name in cluster.nodes}
    assert provision_cluster(spec, shells, lambda phase, detail: None) > 0  # another PKI: files change, units restart
    assert provision_cluster(spec, shells, lambda phase, detail: None) == 0


def test_another_host_key_is_refused(cluster: ContainerCluster) -> None:
    node = cluster.nodes["node01"]
    key_file, _ = identity.ssh_key()
    wrong = SSHTarget("127.0.0.1", node.ssh_port, "root", key_file, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBB")
    with pytest.raises(HostKeyError):
        SSHShell("node01", wrong).run(["true"])


def test_ssh_is_published_on_loopback_only(cluster: ContainerCluster) -> None:
    engine = find_engine()
    assert engine is not None
    for name in cluster.nodes:
        assert engine.run("port", container_name(name), "22").startswith("127.0.0.1:")


def test_nothing_is_left_after_destroy(provider: ContainerProvider, cluster: ContainerCluster) -> None:
    engine = find_engine()
    assert engine is not None
    volumes = set(engine.run("volume", "ls", "--quiet").split())
    mounted = {
        mount["Name"]
        for name in cluster.nodes
        for mount in engine.json("container", "inspect", container_name(name))[0]["Mounts"]
        if mount.get("Name")
    }
    assert mounted and mounted <= volumes
    provider.destroy_all(images=False)
    assert engine.labelled("container", identity.installation_id()) == []
    assert engine.labelled("network", identity.installation_id()) == []
    assert not mounted & set(engine.run("volume", "ls", "--quiet").split())


def test_a_reset_node_joins_again(cluster: ContainerCluster) -> None:
    """kubeadm's words on both sides: a token, a pinned CA, TLS bootstrap, an approved request."""
    control, node = cluster.shell("controlplane"), cluster.shell("node01")
    command = control.run(["kubeadm", "token", "create", "--print-join-command"]).text.split()
    refused = node.run(command, check=False)
    assert refused.returncode == 1
    assert "[ERROR FileAvailable--etc-kubernetes-kubelet.conf]" in refused.stderr.decode()
    node.run(["kubeadm", "reset", "--force"], timeout=60)
    assert not node.run(["test", "-e", "/etc/kubernetes/kubelet.conf"], check=False).ok
    assert "This node has joined the cluster:" in node.run(command, timeout=120).text
    control.run(["kubectl", "wait", "--for=condition=Ready", "node/node01", "--timeout=60s"], timeout=70)
    requests = control.run(["kubectl", "get", "csr"]).text
    assert f"system:bootstrap:{command[4][:6]}" in requests
    assert "Approved,Issued" in requests

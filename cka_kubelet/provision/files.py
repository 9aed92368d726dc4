"""Every file of a lab node, where kubeadm and the Debian packages put it. Pure: spec and facts in, files out.

Sources: kubeadm 1.36's output, kubernetes/release's packaging for the unit and its drop-in, containerd's CRI docs.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from cka_kubelet.kube import staticpods
from cka_kubelet.provision import node_half, oci
from cka_kubelet.provision.spec import API_PORT, DNS_IP, POD_CIDR, SERVICE_CIDR, ClusterSpec, NodeSpec

KUBELET_PEM = "/var/lib/kubelet/pki/kubelet-client-current.pem"
IMAGES = "/opt/cka-kubelet/images.tar"
MARKER = "/etc/cka-lab/node.json"


@dataclass(frozen=True)
class NodeFile:
    """One file; a symlink with `link_to`; a directory when the path ends in /.

    `restarts` names the units that must restart when it changes.
    """

    path: str
    data: bytes = b""
    mode: int = 0o644
    link_to: str = ""
    restarts: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostTraits:
    """What of a node's host shapes its files. The defaults serve where only the paths matter."""

    cgroup_v1: bool = False
    may_lower_oom_score: bool = True
    machine_id: str = ""
    arch: str = "amd64"


def node_files(cluster: ClusterSpec, node: NodeSpec, traits: HostTraits) -> list[NodeFile]:
    """All files of one node, sorted by path."""
    files = [*_common(cluster, node), *_runtime(cluster, node, traits), *_kubelet(cluster, node, traits)]
    files += _learner(cluster, node)
    if node.role == "control-plane":
        files += _control_plane(cluster)
        files += _static_pods(cluster, node) if cluster.static_pods(node) else _unit(cluster, node)
    return sorted(files, key=lambda file: file.path)


def _template(name: str, **values: str) -> bytes:
    """A template with `@NAME@` filled in; its own syntax is left alone (systemd, TOML, shell, JSON)."""
    text = (resources.files("cka_kubelet.provision") / "templates" / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text.encode()


def _common(cluster: ClusterSpec, node: NodeSpec) -> Iterator[NodeFile]:
    yield NodeFile("/opt/cka-kubelet/current", link_to=node_half.content_hash(), restarts=("kubelet", "kube-apiserver"))
    for name in ("kubelet", "crictl", "kubeadm"):
        yield NodeFile(f"/usr/bin/{name}", _template("wrapper", MODULE=name), 0o755)
    yield NodeFile("/etc/modules-load.d/k8s.conf", b"overlay\nbr_netfilter\n")
    yield NodeFile("/etc/sysctl.d/k8s.conf", _template("sysctl.conf"))
    yield NodeFile("/root/.ssh/id_ed25519", cluster.node_key.encode(), 0o600)
    yield NodeFile("/root/.ssh/id_ed25519.pub", cluster.node_public_key.encode())
    # sshd reads this one too by default; authorized_keys stays as it is, on the user's own hosts above all.
    yield NodeFile("/root/.ssh/authorized_keys2", cluster.node_public_key.encode(), 0o600)
    names = "\n\n".join(f"Host {other.name}\n    HostName {other.address}" for other in cluster.nodes)
    everybody = " ".join(other.name for other in cluster.nodes)
    ssh = _template("ssh_config", HOSTS=names, NAMES=everybody)
    yield NodeFile("/etc/ssh/ssh_config.d/10-lab.conf", ssh)
    routes = "\n".join(
        f"ExecStart=/usr/sbin/ip route replace {other.pod_cidr} via {other.address}"
        for other in cluster.nodes
        if other.name != node.name
    )
    # One rule for all pods, as flannel has it: bridge's own ipMasq would run iptables six times for every sandbox.
    unit = _template("pod-routes.service", ROUTES=routes, PODS=node.pod_cidr, CLUSTER=POD_CIDR)
    yield NodeFile("/etc/systemd/system/pod-routes.service", unit, restarts=("pod-routes",))


def _runtime(cluster: ClusterSpec, node: NodeSpec, traits: HostTraits) -> Iterator[NodeFile]:
    restrict = "false" if traits.may_lower_oom_score else "true"
    config = _template("containerd.toml", PAUSE=oci.PAUSE, RESTRICT_OOM=restrict)
    yield NodeFile("/etc/containerd/config.toml", config, restarts=("containerd",))
    yield NodeFile("/etc/cni/net.d/10-bridge.conflist", _template("cni.json", SUBNET=node.pod_cidr))
    for plugin in ("bridge", "firewall", "host-local", "loopback", "portmap", "tuning", "bandwidth"):
        yield NodeFile(f"/opt/cni/bin/{plugin}", link_to=f"/usr/lib/cni/{plugin}")
    yield NodeFile("/etc/crictl.yaml", _template("crictl.yaml"))
    archives = [IMAGES, *([control_plane_images()] if cluster.static_pods(node) else [])]
    imports = "\n".join(f"ExecStart=/usr/bin/ctr --namespace k8s.io images import {path}" for path in archives)
    preload = _template("preload-images.service", IMPORTS=imports, IMPORTED=imported(cluster, node))
    yield NodeFile("/etc/systemd/system/preload-images.service", preload)


def _kubelet(cluster: ClusterSpec, node: NodeSpec, traits: HostTraits) -> Iterator[NodeFile]:
    restart = ("kubelet",)
    yield NodeFile("/usr/lib/systemd/system/kubelet.service", _template("kubelet.service"), restarts=restart)
    drop_in = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
    yield NodeFile(drop_in, _template("10-kubeadm.conf"), restarts=restart)
    flags = " ".join(_flags(cluster, node))
    environment = f'KUBELET_KUBEADM_ARGS="{flags}"\n'.encode()
    yield NodeFile("/var/lib/kubelet/kubeadm-flags.env", environment, restarts=restart)
    cgroup_v1 = "failCgroupV1: false\n" if traits.cgroup_v1 else ""
    config = _template("config.yaml", DNS=DNS_IP, CGROUP_V1=cgroup_v1)
    yield NodeFile("/var/lib/kubelet/config.yaml", config, restarts=restart)
    yield NodeFile("/var/lib/kubelet/instance-config.yaml", _template("instance-config.yaml"))
    pem = "/var/lib/kubelet/pki/" + client_pem_name(cluster)
    yield NodeFile(pem, cluster.pki[f"nodes/{node.name}.pem"], 0o600, restarts=restart)
    yield NodeFile(KUBELET_PEM, link_to=pem, restarts=restart)
    user = "default-auth" if node.role == "worker" else f"system:node:{node.name}"
    kubeconfig = _kubeconfig(cluster, "default-cluster" if node.role == "worker" else "kubernetes", user, None)
    yield NodeFile("/etc/kubernetes/kubelet.conf", kubeconfig, 0o600, restarts=restart)
    yield NodeFile("/etc/kubernetes/pki/ca.crt", cluster.pki["ca.crt"], restarts=restart)
    yield NodeFile("/etc/kubernetes/manifests/", mode=0o755)


def _flags(cluster: ClusterSpec, node: NodeSpec) -> Iterator[str]:
    """What kubeadm puts into kubeadm-flags.env: nothing, a foreign host name, the control plane's taint."""
    if cluster.own_hosts:
        yield f"--hostname-override={node.name}"
        yield f"--node-ip={node.address}"
    if node.role == "control-plane" and len(cluster.nodes) > 1:
        yield "--register-with-taints=node-role.kubernetes.io/control-plane:NoSchedule"


def client_pem_name(cluster: ClusterSpec) -> str:
    """kubelet-client-YYYY-MM-DD-HH-MM-SS.pem, as the certificate manager would have named it."""
    from cka_kubelet.provision.pki import expiry  # cryptography is slow to import and needed only here

    return f"kubelet-client-{expiry(cluster.pki):%Y-%m-%d-%H-%M-%S}.pem"


def _kubeconfig(cluster: ClusterSpec, cluster_name: str, user: str, credentials: str | None) -> bytes:
    """A kubeconfig as kubeadm writes it; without `credentials` it points at the kubelet's rotating certificate."""

    def data(name: str) -> str:
        return base64.b64encode(cluster.pki[name]).decode()

    if credentials is None:
        secret = f"    client-certificate: {KUBELET_PEM}\n    client-key: {KUBELET_PEM}\n"
    else:
        secret = (
            f"    client-certificate-data: {data(f'users/{credentials}.crt')}\n"
            f"    client-key-data: {data(f'users/{credentials}.key')}\n"
        )
    context = "default-context" if cluster_name == "default-cluster" else f"{user}@{cluster_name}"
    return (
        "apiVersion: v1\nclusters:\n- cluster:\n"
        f"    certificate-authority-data: {data('ca.crt')}\n    server: {cluster.server}\n  name: {cluster_name}\n"
        f"contexts:\n- context:\n    cluster: {cluster_name}\n    user: {user}\n  name: {context}\n"
        f"current-context: {context}\nkind: Config\nusers:\n- name: {user}\n  user:\n{secret}"
    ).encode()


_USERS = {
    "admin": "kubernetes-admin",
    "super-admin": "kubernetes-super-admin",
    "controller-manager": "system:kube-controller-manager",
    "scheduler": "system:kube-scheduler",
}
"""kubeconfig file below /etc/kubernetes → its user."""


def _control_plane(cluster: ClusterSpec) -> Iterator[NodeFile]:
    restart = ("kube-apiserver",) if cluster.control_plane_runs == "unit" else ()
    for name in ("ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client"):
        if name != "ca":
            yield NodeFile(f"/etc/kubernetes/pki/{name}.crt", cluster.pki[f"{name}.crt"], restarts=restart)
        yield NodeFile(f"/etc/kubernetes/pki/{name}.key", cluster.pki[f"{name}.key"], 0o600, restarts=restart)
    yield NodeFile("/etc/kubernetes/pki/sa.key", cluster.pki["sa.key"], 0o600, restarts=restart)
    yield NodeFile("/etc/kubernetes/pki/sa.pub", cluster.pki["sa.pub"], restarts=restart)
    for name, user in _USERS.items():
        yield NodeFile(f"/etc/kubernetes/{name}.conf", _kubeconfig(cluster, "kubernetes", user, name), 0o600)
    yield NodeFile("/root/.kube/config", _kubeconfig(cluster, "kubernetes", "kubernetes-admin", "admin"), 0o600)


def _unit(cluster: ClusterSpec, node: NodeSpec) -> Iterator[NodeFile]:
    """The whole control plane as one program."""
    restart = ("kube-apiserver",)
    unit = _template(
        "kube-apiserver.service", ADDRESS=node.address, PORT=str(API_PORT), SERVICES=SERVICE_CIDR, PODS=POD_CIDR
    )
    yield NodeFile("/etc/systemd/system/kube-apiserver.service", unit, restarts=restart)
    yield NodeFile("/usr/bin/kube-apiserver", _template("wrapper", MODULE="controlplane"), 0o755)


def _static_pods(cluster: ClusterSpec, node: NodeSpec) -> Iterator[NodeFile]:
    """What kubeadm adds for a control plane of static pods with an etcd of its own."""
    for name in ("etcd/ca", "etcd/server", "etcd/peer", "etcd/healthcheck-client", "apiserver-etcd-client"):
        yield NodeFile(f"/etc/kubernetes/pki/{name}.crt", cluster.pki[f"{name}.crt"])
        yield NodeFile(f"/etc/kubernetes/pki/{name}.key", cluster.pki[f"{name}.key"], 0o600)
    yield NodeFile(f"{staticpods.ETCD_DATA}/", mode=0o700)
    about = staticpods.Cluster(node.name, node.address, API_PORT, POD_CIDR, SERVICE_CIDR)
    for component in staticpods.COMPONENTS:
        text = staticpods.manifest(component, about)
        yield NodeFile(staticpods.path_of(component), text.encode(), 0o600)


def control_plane_images() -> str:
    """Where a node keeps the archive of the control plane's images; another node half, another archive."""
    return f"{node_half.directory()}/control-plane.tar"


def imported(cluster: ClusterSpec, node: NodeSpec) -> str:
    """The mark beside containerd's data that says that all images are in it."""
    which = f"-{node_half.content_hash()}" if cluster.static_pods(node) else ""
    return f"/var/lib/containerd/.images-imported{which}"


def _learner(cluster: ClusterSpec, node: NodeSpec) -> Iterator[NodeFile]:
    history = "/etc/cka-lab/bash_history" if cluster.own_hosts else "~/.bash_history"  # a host keeps its user's own
    marks = _template("shell-integration.sh", NODE=node.name, HISTORY=history)
    yield NodeFile("/etc/profile.d/shell-integration.sh", marks)
    yield NodeFile("/root/.bashrc", _template("bashrc"))
    yield NodeFile("/root/.vimrc", b"set nocompatible expandtab tabstop=2 shiftwidth=2\n")
    yield NodeFile("/etc/motd", b"")


def marker(cluster: ClusterSpec, node: NodeSpec, traits: HostTraits) -> NodeFile:
    """What makes a host one of ours; faults go nowhere else."""
    document = {"cluster": cluster.marker, "node": node.name, "machine_id": traits.machine_id}
    return NodeFile(MARKER, (json.dumps(document, sort_keys=True) + "\n").encode())

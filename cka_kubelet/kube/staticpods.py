"""The control plane's static pods as `kubeadm init` of 1.36 writes them, from the few things that differ by cluster.

Source: kubeadm's output (cmd/kubeadm/app/phases/controlplane, phases/etcd, util/staticpod). Keys are sorted and lists
are not indented, as sigs.k8s.io/yaml prints them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

Component = Literal["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
COMPONENTS: tuple[Component, ...] = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
VERSION = "v1.36.2"
IMAGES: Mapping[Component, str] = {
    "etcd": "registry.k8s.io/etcd:3.6.8-0",
    "kube-apiserver": f"registry.k8s.io/kube-apiserver:{VERSION}",
    "kube-controller-manager": f"registry.k8s.io/kube-controller-manager:{VERSION}",
    "kube-scheduler": f"registry.k8s.io/kube-scheduler:{VERSION}",
}
MANIFESTS = "/etc/kubernetes/manifests"
ETCD_DATA = "/var/lib/etcd"
_PKI = "/etc/kubernetes/pki"
_CA_DIRECTORIES = {
    "ca-certs": "/etc/ssl/certs",
    "etc-ca-certificates": "/etc/ca-certificates",
    "usr-local-share-ca-certificates": "/usr/local/share/ca-certificates",
    "usr-share-ca-certificates": "/usr/share/ca-certificates",
}


@dataclass(frozen=True)
class Cluster:
    """What the manifests say of a cluster: the node's name and address, the API server's port, the two ranges.

    Without a range of pods ("") the controller manager hands out none, as kubeadm has it."""

    node: str
    address: str
    port: int = 6443
    pod_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/12"


def path_of(component: Component) -> str:
    """Where the kubelet finds it."""
    return f"{MANIFESTS}/{component}.yaml"


def manifest(component: Component, cluster: Cluster) -> str:
    """The file's text."""
    pod = {
        "etcd": _etcd,
        "kube-apiserver": _api_server,
        "kube-controller-manager": _controller_manager,
        "kube-scheduler": _scheduler,
    }[component](cluster)
    return str(yaml.safe_dump(pod, default_flow_style=False, width=10_000))


def _etcd(cluster: Cluster) -> dict[str, Any]:
    client, peer = f"https://{cluster.address}:2379", f"https://{cluster.address}:2380"
    flags = {
        "advertise-client-urls": client,
        "cert-file": f"{_PKI}/etcd/server.crt",
        "client-cert-auth": "true",
        "data-dir": ETCD_DATA,
        "feature-gates": "InitialCorruptCheck=true",
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"{cluster.node}={peer}",
        "key-file": f"{_PKI}/etcd/server.key",
        "listen-client-urls": f"https://127.0.0.1:2379,{client}",
        "listen-metrics-urls": "http://127.0.0.1:2381",
        "listen-peer-urls": peer,
        "name": cluster.node,
        "peer-cert-file": f"{_PKI}/etcd/peer.crt",
        "peer-client-cert-auth": "true",
        "peer-key-file": f"{_PKI}/etcd/peer.key",
        "peer-trusted-ca-file": f"{_PKI}/etcd/ca.crt",
        "snapshot-count": "10000",
        "trusted-ca-file": f"{_PKI}/etcd/ca.crt",
        "watch-progress-notify-interval": "5s",
    }
    container = {
        **_container("etcd", flags, {"cpu": "100m", "memory": "100Mi"}),
        **_probes("127.0.0.1", 2381, "HTTP", "/livez", "/readyz", "/readyz"),
        "volumeMounts": [
            {"mountPath": ETCD_DATA, "name": "etcd-data"},
            {"mountPath": f"{_PKI}/etcd", "name": "etcd-certs"},
        ],
    }
    volumes = [_directory("etcd-certs", f"{_PKI}/etcd"), _directory("etcd-data", ETCD_DATA)]
    return _pod(container, volumes, {"kubeadm.kubernetes.io/etcd.advertise-client-urls": client})


def _api_server(cluster: Cluster) -> dict[str, Any]:
    flags = {
        "advertise-address": cluster.address,
        "allow-privileged": "true",
        "authorization-mode": "Node,RBAC",
        "client-ca-file": f"{_PKI}/ca.crt",
        "enable-admission-plugins": "NodeRestriction",
        "enable-bootstrap-token-auth": "true",
        "etcd-cafile": f"{_PKI}/etcd/ca.crt",
        "etcd-certfile": f"{_PKI}/apiserver-etcd-client.crt",
        "etcd-keyfile": f"{_PKI}/apiserver-etcd-client.key",
        "etcd-servers": "https://127.0.0.1:2379",
        "kubelet-client-certificate": f"{_PKI}/apiserver-kubelet-client.crt",
        "kubelet-client-key": f"{_PKI}/apiserver-kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
        "proxy-client-cert-file": f"{_PKI}/front-proxy-client.crt",
        "proxy-client-key-file": f"{_PKI}/front-proxy-client.key",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-client-ca-file": f"{_PKI}/front-proxy-ca.crt",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "secure-port": str(cluster.port),
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": f"{_PKI}/sa.pub",
        "service-account-signing-key-file": f"{_PKI}/sa.key",
        "service-cluster-ip-range": cluster.service_cidr,
        "tls-cert-file": f"{_PKI}/apiserver.crt",
        "tls-private-key-file": f"{_PKI}/apiserver.key",
    }
    directories = {**_CA_DIRECTORIES, "k8s-certs": _PKI}
    container = {
        **_container("kube-apiserver", flags, {"cpu": "250m"}),
        **_probes(cluster.address, cluster.port, "HTTPS", "/livez", "/livez", "/readyz"),
        "volumeMounts": _mounts(directories),
    }
    volumes = [_directory(name, directories[name]) for name in sorted(directories)]
    endpoint = f"{cluster.address}:{cluster.port}"
    return _pod(container, volumes, {"kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint": endpoint})


def _controller_manager(cluster: Cluster) -> dict[str, Any]:
    kubeconfig = "/etc/kubernetes/controller-manager.conf"
    flags = {
        **({"allocate-node-cidrs": "true"} if cluster.pod_cidr else {}),
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "client-ca-file": f"{_PKI}/ca.crt",
        **({"cluster-cidr": cluster.pod_cidr} if cluster.pod_cidr else {}),
        "cluster-name": "kubernetes",
        "cluster-signing-cert-file": f"{_PKI}/ca.crt",
        "cluster-signing-key-file": f"{_PKI}/ca.key",
        "controllers": "*,bootstrapsigner,tokencleaner",
        "kubeconfig": kubeconfig,
        "leader-elect": "true",
        "requestheader-client-ca-file": f"{_PKI}/front-proxy-ca.crt",
        "root-ca-file": f"{_PKI}/ca.crt",
        "service-account-private-key-file": f"{_PKI}/sa.key",
        "service-cluster-ip-range": cluster.service_cidr,
        "use-service-account-credentials": "true",
    }
    flex = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec"
    directories = {**_CA_DIRECTORIES, "flexvolume-dir": flex, "k8s-certs": _PKI}
    mounts = _mounts({**directories, "kubeconfig": kubeconfig}, writable=("flexvolume-dir",))
    container = {
        **_container("kube-controller-manager", flags, {"cpu": "200m"}),
        **_probes("127.0.0.1", 10257, "HTTPS", "/healthz", "/healthz"),
        "volumeMounts": mounts,
    }
    volumes = [*(_directory(name, path) for name, path in directories.items()), _kubeconfig(kubeconfig)]
    return _pod(container, sorted(volumes, key=lambda volume: str(volume["name"])))


def _scheduler(cluster: Cluster) -> dict[str, Any]:
    kubeconfig = "/etc/kubernetes/scheduler.conf"
    flags = {
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "kubeconfig": kubeconfig,
        "leader-elect": "true",
    }
    container = {
        **_container("kube-scheduler", flags, {"cpu": "100m"}),
        **_probes("127.0.0.1", 10259, "HTTPS", "/livez", "/livez", "/readyz"),
        "volumeMounts": _mounts({"kubeconfig": kubeconfig}),
    }
    return _pod(container, [_kubeconfig(kubeconfig)])


def _pod(
    container: dict[str, Any], volumes: list[dict[str, Any]], annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    name = container["name"]
    metadata: dict[str, Any] = {
        "labels": {"component": name, "tier": "control-plane"},
        "name": name,
        "namespace": "kube-system",
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    spec = {
        "containers": [container],
        "hostNetwork": True,
        "priority": 2000001000,
        "priorityClassName": "system-node-critical",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": volumes,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}}


def _container(name: Component, flags: Mapping[str, str], requests: Mapping[str, str]) -> dict[str, Any]:
    return {
        "command": [name, *(f"--{flag}={value}" for flag, value in flags.items())],
        "image": IMAGES[name],
        "imagePullPolicy": "IfNotPresent",
        "name": name,
        "resources": {"requests": dict(requests)},
    }


def _probes(host: str, port: int, scheme: str, live: str, startup: str, ready: str = "") -> dict[str, Any]:
    """A component's probes by the name of its port, at these paths; the controller manager has none of readiness."""

    def probe(path: str, failures: int, period: int, delay: int) -> dict[str, Any]:
        get = {"host": host, "path": path, "port": "probe-port", "scheme": scheme}
        found = {"failureThreshold": failures, "httpGet": get, "periodSeconds": period, "timeoutSeconds": 15}
        return {**found, "initialDelaySeconds": delay} if delay else found

    return {
        "ports": [{"containerPort": port, "name": "probe-port", "protocol": "TCP"}],
        "livenessProbe": probe(live, 8, 10, 10),
        "startupProbe": probe(startup, 24, 10, 10),
        **({"readinessProbe": probe(ready, 3, 1, 0)} if ready else {}),
    }


def _mounts(directories: Mapping[str, str], writable: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Each at its own path, sorted by the volume's name."""
    return [
        {"mountPath": directories[name], "name": name, **({} if name in writable else {"readOnly": True})}
        for name in sorted(directories)
    ]


def _directory(name: str, path: str) -> dict[str, Any]:
    return {"hostPath": {"path": path, "type": "DirectoryOrCreate"}, "name": name}


def _kubeconfig(path: str) -> dict[str, Any]:
    return {"hostPath": {"path": path, "type": "FileOrCreate"}, "name": "kubeconfig"}

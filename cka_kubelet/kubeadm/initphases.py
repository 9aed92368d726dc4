"""`kubeadm init phase control-plane|etcd|certs|kubeconfig`: what a broken control plane is mended with.

Source: cmd/kubeadm/app/cmd/phases/init, app/phases/certs, app/phases/kubeconfig. Manifests are written anew;
certificates and kubeconfig files that are there stay.
"""

import ipaddress
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from cka_kubelet.kube import staticpods
from cka_kubelet.kube.staticpods import Component
from cka_kubelet.kubeadm import certs, kubeconfigs, x509
from cka_kubelet.kubeadm.errors import Failure

FLAGS: Mapping[str, str] = {
    "apiserver-advertise-address": "",
    "apiserver-bind-port": "6443",
    "apiserver-cert-extra-sans": "",
    "cert-dir": "",
    "control-plane-endpoint": "",
    "kubernetes-version": "",
    "node-name": "",
    "pod-network-cidr": "",
    "service-cidr": "10.96.0.0/12",
    "service-dns-domain": "cluster.local",
}
Say = Callable[[str], None]

_MANIFESTS: dict[str, Component] = {
    "apiserver": "kube-apiserver",
    "controller-manager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
}
_USERS = {
    "admin": "/O=kubeadm:cluster-admins/CN=kubernetes-admin",
    "super-admin": "/O=system:masters/CN=kubernetes-super-admin",
    "kubelet": "/O=system:nodes/CN=system:node:{node}",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
}
"""kubeconfig file → its user, as openssl's subject."""
_SIGNED = {
    "apiserver": ("ca", "/CN=kube-apiserver", ("serverAuth",)),
    "apiserver-kubelet-client": ("ca", "/O=kubeadm:cluster-admins/CN=kube-apiserver-kubelet-client", ("clientAuth",)),
    "front-proxy-client": ("front-proxy-ca", "/CN=front-proxy-client", ("clientAuth",)),
    "etcd-server": ("etcd-ca", "/CN={node}", ("serverAuth", "clientAuth")),
    "etcd-peer": ("etcd-ca", "/CN={node}", ("serverAuth", "clientAuth")),
    "etcd-healthcheck-client": ("etcd-ca", "/CN=kube-etcd-healthcheck-client", ("clientAuth",)),
    "apiserver-etcd-client": ("etcd-ca", "/CN=kube-apiserver-etcd-client", ("clientAuth",)),
}
"""Certificate → its authority, subject and usages."""
PHASES: Mapping[str, tuple[str, ...]] = {
    "control-plane": ("all", *_MANIFESTS),
    "etcd": ("local",),
    "certs": ("all", *_SIGNED),
    "kubeconfig": ("all", *_USERS),
}


def run(group: str, name: str, flags: Mapping[str, str], say: Say, root: Path = certs.KUBERNETES) -> None:
    """One phase. Raises Failure."""
    if name not in PHASES[group]:
        if not name:
            raise Failure(f"missing subcommand; 'init phase {group}' is one of {', '.join(PHASES[group])}")
        raise Failure(f'invalid subcommand: "{name}". See "kubeadm init phase {group} --help"')
    store = certs.Store(root, Path(flags["cert-dir"]) if flags["cert-dir"] else None)
    names = PHASES[group][1:] if name == "all" else (name,)
    cluster = _cluster(flags)
    if group == "control-plane":
        say(f'[control-plane] Using manifest folder "{root}/manifests"')
        for each in names:
            say(f'[control-plane] Creating static Pod manifest for "{_MANIFESTS[each]}"')
            _write_manifest(root, _MANIFESTS[each], cluster)
    elif group == "etcd":
        say(f'[etcd] Creating static Pod manifest for local etcd in "{root}/manifests"')
        _write_manifest(root, "etcd", cluster)
    elif group == "certs":
        say(f'[certs] Using certificateDir folder "{store.pki}"')
        for each in names:
            _certificate(store, each, cluster, flags, say)
    else:
        say(f'[kubeconfig] Using kubeconfig folder "{root}"')
        for each in names:
            _kubeconfig(store, each, cluster, flags, say)


def _cluster(flags: Mapping[str, str]) -> staticpods.Cluster:
    address = flags["apiserver-advertise-address"] or _own_address()
    return staticpods.Cluster(
        flags["node-name"] or socket.gethostname().lower(),
        address,
        int(flags["apiserver-bind-port"]),
        flags["pod-network-cidr"],
        flags["service-cidr"],
    )


def _own_address() -> str:
    """The address of the interface with the default route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # no packet is sent; the kernel says which address it would use
        except OSError as error:
            raise Failure(f"no default route, so no own address: {error.strerror}") from error
        return str(probe.getsockname()[0])


def _write_manifest(root: Path, component: Component, cluster: staticpods.Cluster) -> None:
    path = root / "manifests" / f"{component}.yaml"
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_text(staticpods.manifest(component, cluster))


def _certificate(
    store: certs.Store, name: str, cluster: staticpods.Cluster, flags: Mapping[str, str], say: Say
) -> None:
    authority, subject, usages = _SIGNED[name]
    place = name.replace("etcd-", "etcd/", 1) if name.startswith("etcd-") else name
    if store.path(name).exists() and store.path(name, "key").exists():
        say(f"[certs] Using existing {place} certificate and key on disk")
        return
    names: tuple[str, ...] = ()
    if name == "apiserver":
        names = _server_names(cluster, flags)
    elif len(usages) == 2:  # a member of etcd is server and client
        names = (f"DNS:{cluster.node}", "DNS:localhost", f"IP:{cluster.address}", "IP:127.0.0.1", "IP:::1")
    say(f'[certs] Generating "{place}" certificate and key')
    if names:
        dns = " ".join(entry[4:] for entry in names if entry.startswith("DNS:"))
        addresses = " ".join(entry[3:] for entry in names if entry.startswith("IP:"))
        say(f"[certs] {place} serving cert is signed for DNS names [{dns}] and IPs [{addresses}]")
    wanted = x509.Wanted(subject.format(node=x509.escaped(cluster.node)), names, usages)
    store.write(name, x509.issue(wanted, *_authority(store, authority)))


def _server_names(cluster: staticpods.Cluster, flags: Mapping[str, str]) -> tuple[str, ...]:
    domain = flags["service-dns-domain"]
    service = str(next(ipaddress.ip_network(cluster.service_cidr).hosts()))
    hosts = [cluster.node, "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names = [f"DNS:{host}" for host in (*hosts, f"kubernetes.default.svc.{domain}")]
    names += [f"IP:{service}", f"IP:{cluster.address}"]
    for extra in filter(None, flags["apiserver-cert-extra-sans"].split(",")):
        try:
            names.append(f"IP:{ipaddress.ip_address(extra)}")
        except ValueError:
            names.append(f"DNS:{extra}")
    return tuple(names)


def _authority(store: certs.Store, name: str) -> tuple[Path, Path]:
    """Certificate and key of an authority. Raises Failure."""
    found = store.path(name), store.path(name, "key")
    for path in found:
        if not path.exists():
            raise Failure(f"couldn't load CA certificate {name}: open {path}: no such file or directory")
    return found


def _kubeconfig(store: certs.Store, name: str, cluster: staticpods.Cluster, flags: Mapping[str, str], say: Say) -> None:
    path = store.root / f"{name}.conf"
    if path.exists() and path.stat().st_size:
        say(f'[kubeconfig] Using existing kubeconfig file: "{path}"')
        return
    say(f'[kubeconfig] Writing "{name}.conf" kubeconfig file')
    certificate, key = _authority(store, "ca")
    subject = _USERS[name].format(node=x509.escaped(cluster.node))
    user = subject.rpartition("/CN=")[2]
    host = flags["control-plane-endpoint"] or f"{cluster.address}:{cluster.port}"
    if name in ("controller-manager", "scheduler", "super-admin"):  # these talk to the API server of their own node
        host = f"{cluster.address}:{cluster.port}"
    pair = x509.issue(x509.Wanted(subject), certificate, key)
    text = kubeconfigs.kubeconfig("kubernetes", f"https://{host}", certificate.read_bytes(), user, pair)
    kubeconfigs.write_private(path, text)

"""`kubeadm certs`: what there is, when it ends, and the next one. Source: cmd/kubeadm/app/phases/certs/renewal."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cka_kubelet.kube.age import short_human_duration
from cka_kubelet.kube.tabwriter import tabulate
from cka_kubelet.kubeadm import kubeconfigs, x509
from cka_kubelet.kubeadm.errors import Failure

KUBERNETES = Path("/etc/kubernetes")
DONE = (
    "\nDone renewing certificates. You must restart the kube-apiserver, kube-controller-manager, kube-scheduler and "
    "etcd, so that they can use the new certificates."
)


class Managed(NamedTuple):
    """One certificate that kubeadm looks after. A name that ends in .conf is embedded in that kubeconfig."""

    name: str
    ca: str
    long_name: str


_IN_KUBECONFIG = "certificate embedded in the kubeconfig file for "
MANAGED = (
    Managed("admin.conf", "ca", _IN_KUBECONFIG + "the admin to use and for kubeadm itself"),
    Managed("apiserver", "ca", "certificate for serving the Kubernetes API"),
    Managed("apiserver-kubelet-client", "ca", "certificate for the API server to connect to kubelet"),
    Managed("controller-manager.conf", "ca", _IN_KUBECONFIG + "the controller manager to use"),
    Managed("front-proxy-client", "front-proxy-ca", "certificate for the front proxy client"),
    Managed("scheduler.conf", "ca", _IN_KUBECONFIG + "the scheduler manager to use"),
    Managed("super-admin.conf", "ca", _IN_KUBECONFIG + "the super-admin"),
)
"""By name, of a cluster whose etcd is none of kubeadm's."""
AUTHORITIES = ("ca", "front-proxy-ca")
_OF_ETCD = (
    Managed("apiserver-etcd-client", "etcd-ca", "certificate the apiserver uses to access etcd"),
    Managed("etcd-healthcheck-client", "etcd-ca", "certificate for liveness probes to healthcheck etcd"),
    Managed("etcd-peer", "etcd-ca", "certificate for etcd nodes to communicate with each other"),
    Managed("etcd-server", "etcd-ca", "certificate for serving etcd"),
)


class Store:
    """The files below /etc/kubernetes; `pki` is --cert-dir."""

    def __init__(self, root: Path = KUBERNETES, pki: Path | None = None) -> None:
        self.root = root
        self.pki = pki or root / "pki"

    def managed(self) -> list[Managed]:
        """What kubeadm looks after here, by name; etcd's certificates where etcd is a static pod."""
        return sorted((*MANAGED, *(_OF_ETCD if self._has_etcd() else ())))

    def authorities(self) -> tuple[str, ...]:
        """Names of the authorities, in kubeadm's order."""
        return ("ca", "etcd-ca", "front-proxy-ca") if self._has_etcd() else AUTHORITIES

    def _has_etcd(self) -> bool:
        return (self.pki / "etcd").is_dir()

    def path(self, name: str, end: str = "crt") -> Path:
        """The file of a certificate or, with `end` "key", of its key."""
        return self.pki / f"{f'etcd/{name[5:]}' if name.startswith('etcd-') else name}.{end}"

    def read(self, name: str) -> bytes | None:
        """The certificate in PEM, None when it does not exist. Raises Failure when it cannot be read."""
        path = self.root / name if name.endswith(".conf") else self.path(name)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Failure(f"failed to load {path}: {error.strerror}") from error
        return (
            kubeconfigs.embedded(data.decode("utf-8", "replace"), "client-certificate-data")
            if name.endswith(".conf")
            else data
        )

    def write(self, name: str, pair: x509.Pair) -> None:
        if name.endswith(".conf"):
            path = self.root / name
            kubeconfigs.write_private(path, kubeconfigs.with_pair(path.read_text(), pair))
            return
        kubeconfigs.write_private(self.path(name, "key"), pair.key)
        kubeconfigs.write_private(self.path(name), pair.certificate)

    def externally_managed(self, authority: str) -> bool:
        """Whether the CA's key is kept elsewhere."""
        return self.path(authority).exists() and not self.path(authority, "key").exists()


def expiration(store: Store, now: float) -> str:
    """The tables of `certs check-expiration`."""
    rows = [("CERTIFICATE", "EXPIRES", "RESIDUAL TIME", "CERTIFICATE AUTHORITY", "EXTERNALLY MANAGED")]
    for managed in store.managed():
        pem = store.read(managed.name)
        if pem is None:
            rows.append((f"!MISSING! {managed.name}", "", "", "", ""))
            continue
        outside = _yes_no(store.externally_managed(managed.ca))
        rows.append((managed.name, *_times(managed.name, pem, now), managed.ca, outside))
    authorities = [("CERTIFICATE AUTHORITY", "EXPIRES", "RESIDUAL TIME", "EXTERNALLY MANAGED")]
    for name in store.authorities():
        pem = store.read(name)
        if pem is None:
            authorities.append((f"!MISSING! {name}", "", "", ""))
            continue
        authorities.append((name, *_times(name, pem, now), _yes_no(store.externally_managed(name))))
    return tabulate([*rows, (), *authorities], minimum=10)


def _times(name: str, pem: bytes, now: float) -> tuple[str, str]:
    try:
        end = x509.not_after(pem)
    except Failure as error:
        raise Failure(f"failed to load certificate {name}: {error}") from error
    return time.strftime("%b %d, %Y %H:%M UTC", time.gmtime(end)), short_human_duration(int(end - now))


def _yes_no(value: bool) -> str:
    return f"{'yes' if value else 'no':<8}"


def renew(store: Store, name: str, say: Callable[[str], None]) -> None:
    """One certificate, or all of them. Raises Failure."""
    if name != "all":
        _renew(store, next(managed for managed in store.managed() if managed.name == name), say)
        return
    for managed in store.managed():
        _renew(store, managed, say)
    say(DONE)


def _renew(store: Store, managed: Managed, say: Callable[[str], None]) -> None:
    old = store.read(managed.name)
    if old is None:
        say(f"MISSING! {managed.long_name}")
    elif store.externally_managed(managed.ca):
        say(f"Detected external {managed.ca}, {managed.long_name} can't be renewed")
    else:
        try:
            pair = x509.issue(x509.wanted_again(old), store.path(managed.ca), store.path(managed.ca, "key"))
        except Failure as error:
            raise Failure(f"failed to renew certificate {managed.name}: {error}") from error
        store.write(managed.name, pair)
        say(f"{managed.long_name} renewed")

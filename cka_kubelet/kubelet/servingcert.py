"""serverTLSBootstrap: the serving certificate is the control plane's to sign (pkg/kubelet/certificate/kubelet.go)."""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from cka_kubelet.clock import Clock
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kubelet.certrequest import SERVING_SIGNER, CertificateManager, Template
from cka_kubelet.kubelet.clientcert import CertificateStore, initial_pair
from cka_kubelet.kubelet.servingtls import ServingTLS

Object = dict[str, Any]


def template(node_name: str, addresses: Iterable[Object]) -> Template | None:
    """What to ask for with these addresses of a Node; None as long as there is no IP address."""
    names, found = set(), set()
    for item in addresses:
        address = str(item.get("address") or "")
        try:
            found.add(str(ipaddress.ip_address(address)))
        except ValueError:
            if address and item.get("type") in ("Hostname", "InternalDNS", "ExternalDNS"):
                names.add(address)
    if not found:
        return None
    return Template(f"system:node:{node_name}", names=tuple(sorted(names)), addresses=tuple(sorted(found)))


def store(directory: str, certificate: str, key: str) -> CertificateStore:
    """`kubelet-server-current.pem`; the pair is served as long as there is none."""
    return CertificateStore(directory, "kubelet-server", certificate, key)


def manager(
    kept: CertificateStore,
    node_name: str,
    addresses: Callable[[], Iterable[Object]],
    api: APIClient,
    tls: ServingTLS,
    clock: Clock,
) -> CertificateManager:
    """Has `tls` serve what is stored, and keeps that signed. Raises StoreError."""
    pair, force = initial_pair(kept)
    if pair is not None:
        tls.use_pem(pair)
    made: list[CertificateManager] = []

    def renewed() -> None:
        tls.use_pem(made[0].pair or b"")

    made.append(
        CertificateManager(
            kept, SERVING_SIGNER, lambda: template(node_name, addresses()), lambda _valid: api, clock, renewed, pair,
            force=force,
        )
    )  # fmt: skip
    return made[0]

"""What kube-controller-manager checks of its flags, and what it tells its controllers."""

import ipaddress
from collections.abc import Callable
from pathlib import Path

from cka_kubelet.controlplane.controllers import manager
from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.kube.certfiles import authority_problem, pair_problem, private_key_problem
from cka_kubelet.kube.gofmt import quote

IPAM = "node-ipam-controller"


def problems(settings: Settings) -> list[str]:
    """Everything that is wrong; empty when the controllers may start. In upstream's words and order."""
    found = []
    if settings.on("leader-elect") and settings.text("leader-elect-resource-lock") != "leases":
        found.append('resourceLock value must be "leases"')
    names = manager.unknown(settings.words("controllers"))
    found += [f"{quote(name)} is not in the list of known controllers" for name in names]
    port = settings.number("secure-port")
    if not 0 <= port <= 65535:
        found.append(f"--secure-port {port} must be between 0 and 65535, inclusive. 0 for turning off secure port")
    return found


def _signing_files(settings: Settings) -> tuple[str, str]:
    """The CA to sign with: as told, else the client CA if its key lies beside it, as kubeadm leaves it."""
    if settings.text("cluster-signing-key-file"):
        return settings.text("cluster-signing-cert-file"), settings.text("cluster-signing-key-file")
    authority = settings.text("client-ca-file")
    key = Path(authority).with_suffix(".key") if authority else Path()
    return (authority, str(key)) if key.is_file() else ("", "")


def configuration(settings: Settings) -> manager.Configuration:
    """For the controllers."""
    return manager.Configuration(
        settings.text("cluster-cidr"),
        settings.text("root-ca-file") or settings.text("client-ca-file"),
        *_signing_files(settings),
        settings.seconds("node-monitor-grace-period"),
        settings.seconds("node-monitor-period"),
        frozenset() if settings.on("allocate-node-cidrs") else frozenset({IPAM}),
    )


def start_problem(settings: Settings) -> tuple[str, str] | None:
    """The first controller that cannot start, and why: what upstream finds only while it starts them."""
    wanted = settings.words("controllers")
    for name, problem in _STARTS.items():
        text = problem(settings) if manager.enabled(name, wanted) else None
        if text:
            return name, text
    return None


def _token_problem(settings: Settings) -> str | None:
    key, authority = settings.text("service-account-private-key-file"), settings.text("root-ca-file")
    problem = private_key_problem(key) if key else None
    if problem:
        return f"error reading key for service account token controller: {problem}"
    problem = authority_problem(authority) if authority else None
    return f"error parsing root-ca-file at {authority}: {problem}" if problem else None


def _signing_problem(settings: Settings) -> str | None:
    certificate, key = settings.text("cluster-signing-cert-file"), settings.text("cluster-signing-key-file")
    problem = pair_problem(certificate, key) if certificate and key else None
    if not problem:
        return None
    signer = "kubernetes.io/kubelet-serving"
    return (
        f"failed to start {signer} certificate controller: error reading CA cert file {quote(certificate)}: {problem}"
    )


def _ipam_problem(settings: Settings) -> str | None:
    if not settings.on("allocate-node-cidrs"):
        return None
    for index, cidr in enumerate(settings.text("cluster-cidr").split(",")):
        try:
            ipaddress.ip_network(cidr if "/" in cidr else "", strict=False)
        except ValueError:
            return f"invalid CIDR[{index}]: <nil> (invalid CIDR address: {cidr})"
    return None


_STARTS: dict[str, Callable[[Settings], str | None]] = {
    "serviceaccount-token-controller": _token_problem,
    "certificatesigningrequest-signing-controller": _signing_problem,
    IPAM: _ipam_problem,
}

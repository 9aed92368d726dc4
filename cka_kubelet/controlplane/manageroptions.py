"""What kube-controller-manager checks of its flags, and what it tells its controllers."""

from pathlib import Path

from cka_kubelet.controlplane.controllers import manager
from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.kube.gofmt import quote


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
        settings.on("allocate-node-cidrs"),
        settings.text("root-ca-file") or settings.text("client-ca-file"),
        *_signing_files(settings),
        settings.seconds("node-monitor-grace-period"),
        settings.seconds("node-monitor-period"),
    )

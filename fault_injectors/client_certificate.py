"""The kubelet's client certificate is one that it cannot use, or that says it is somebody else."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cka_kubelet.faults import Absent, Context, Parameter, Step, Symlink, Unit, WriteFile

_DIRECTORY = "/var/lib/kubelet/pki"
_CURRENT = f"{_DIRECTORY}/kubelet-client-current.pem"
_PKI = "/etc/kubernetes/pki"
_BOOTSTRAP = Absent("/etc/kubernetes/bootstrap-kubelet.conf")
_RESTART = Unit("kubelet.service", "restart")
_KEY = b"-----BEGIN EC PRIVATE KEY-----"


def _link(context: Context, name: str) -> Symlink:
    """As the link is now, absolute or not, but to another file of its directory."""
    old = context.link(context.node, _CURRENT)
    return Symlink(_CURRENT, f"{_DIRECTORY}/{name}" if old.startswith("/") else name)


def _minted(context: Context, node: str) -> tuple[str, bytes]:
    """(file name, PEM) of a certificate that is valid now, signed by the cluster's CA for `node`."""
    from fault_injectors.certificates import node_client  # cryptography loads only when it is needed

    start = datetime.fromtimestamp(int(context.now), UTC) - timedelta(days=1, seconds=context.random.randint(1, 9999))
    authority = [context.read(context.control_plane, f"{_PKI}/{name}") for name in ("ca.crt", "ca.key")]
    pem = node_client(authority[0], authority[1], node, start, start + timedelta(days=365))
    return f"kubelet-client-{start:%Y-%m-%d-%H-%M-%S}.pem", pem


class ClientCertificateLinkBroken:
    """Let kubelet-client-current.pem lead to a file that is not there, and restart the kubelet."""

    name = "client-certificate-link-broken"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        day = datetime.fromtimestamp(int(context.now), UTC) - timedelta(seconds=context.random.randint(9_000, 900_000))
        name = f"kubelet-client-{day:%Y-%m-%d-%H-%M-%S}.pem"
        return (Absent(f"{_DIRECTORY}/{name}"), _BOOTSTRAP, _link(context, name), _RESTART)


class ClientCertificateOfAnother:
    """Let the link lead to a good certificate of another node, as in a machine cloned from its image."""

    name = "client-certificate-of-another"
    parameters = (Parameter("node", "", "whose certificate; empty chooses a name"),)

    def steps(self, context: Context) -> Sequence[Step]:
        other = str(context.parameters["node"] or context.random.choice(("node02", "node05", "node-template")))
        name, pem = _minted(context, other)
        return (WriteFile(f"{_DIRECTORY}/{name}", pem, 0o600), _link(context, name), _RESTART)


class ClientKeyOfAnother:
    """Let the link lead to a certificate with a private key that is not its own, and restart the kubelet."""

    name = "client-key-of-another"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        name, one = _minted(context, context.node)
        _, two = _minted(context, context.node)
        pem = one.partition(_KEY)[0] + _KEY + two.partition(_KEY)[2]
        return (WriteFile(f"{_DIRECTORY}/{name}", pem, 0o600), _BOOTSTRAP, _link(context, name), _RESTART)

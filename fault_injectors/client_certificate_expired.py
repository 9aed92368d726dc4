"""The kubelet's client certificate is out of date: its link points at one from an earlier year. No clock is moved."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cka_kubelet.faults import Context, Parameter, Step, Symlink, Unit, WriteFile

_DIRECTORY = "/var/lib/kubelet/pki"
_CURRENT = f"{_DIRECTORY}/kubelet-client-current.pem"
_PKI = "/etc/kubernetes/pki"


class ClientCertificateExpired:
    """Mint an expired certificate with the cluster's CA beside the good one and let the link point at it."""

    name = "client-certificate-expired"
    parameters = (Parameter("days", 0, "how many days ago it ran out; 0 chooses 3 to 40"),)

    def steps(self, context: Context) -> Sequence[Step]:
        from fault_injectors.certificates import node_client  # cryptography loads only when it is needed

        days = int(context.parameters["days"]) or context.random.randint(3, 40)
        end = datetime.fromtimestamp(int(context.now), UTC) - timedelta(days=days)
        start = end - timedelta(days=365)
        old = context.link(context.node, _CURRENT)
        pem = node_client(
            context.read(context.control_plane, f"{_PKI}/ca.crt"),
            context.read(context.control_plane, f"{_PKI}/ca.key"),
            context.node,
            start,
            end,
        )
        name = f"kubelet-client-{start:%Y-%m-%d-%H-%M-%S}.pem"
        return (
            WriteFile(f"{_DIRECTORY}/{name}", pem, 0o600),
            Symlink(_CURRENT, f"{_DIRECTORY}/{name}" if old.startswith("/") else name),
            Unit("kubelet.service", "restart"),
        )

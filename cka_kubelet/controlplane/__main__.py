"""`python3 -m cka_kubelet.controlplane`: API server, scheduler and controllers in one process, for single-host labs.

It takes kube-apiserver's flags and, for the controllers, kube-controller-manager's.
"""

import asyncio
import sys

from cka_kubelet.controlplane import app, flagtable
from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.command import Program, execute
from cka_kubelet.controlplane.controllers import manager, scheduler
from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.controlplane.manageroptions import configuration

_PKI = "/etc/kubernetes/pki"
_DEFAULTS = {
    "tls-cert-file": f"{_PKI}/apiserver.crt",
    "tls-private-key-file": f"{_PKI}/apiserver.key",
    "client-ca-file": f"{_PKI}/ca.crt",
    "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
    "service-account-key-file": f"{_PKI}/sa.pub",
    "service-account-signing-key-file": f"{_PKI}/sa.key",
    "service-cluster-ip-range": "10.96.0.0/12",
    "authorization-mode": "Node,RBAC",
    "enable-admission-plugins": "NodeRestriction",
    "enable-bootstrap-token-auth": "true",
    "cluster-cidr": "10.244.0.0/16",
    "data-dir": "/var/lib/cka-control-plane",
    "allocate-node-cidrs": "true",
    "controllers": "*,bootstrapsigner,tokencleaner",
}
_ABOUT = "API server, scheduler and controllers in one process."


async def _run(settings: Settings) -> None:
    config = configuration(settings)

    async def controllers(client: Client) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(scheduler.run(client))
            group.create_task(manager.run(client, config, settings.words("controllers")))

    await app.run(settings, controllers)


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; the exit status."""
    program = Program("kube-apiserver", _ABOUT, flagtable.all_in_one(), _run, usage=False, defaults=_DEFAULTS)
    return execute(program, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    raise SystemExit(main())

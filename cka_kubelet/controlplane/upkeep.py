"""What every cluster has, made before the first request is answered; and where its API servers are, kept up to date."""

from collections.abc import Awaitable, Callable

from cka_kubelet.controlplane import bootstrap
from cka_kubelet.controlplane.registry import Registry
from cka_kubelet.kube import klog
from cka_kubelet.kube.apistatus import StatusError

_RECONCILE_SECONDS = 10.0
"""Between two looks at the endpoints of the service `kubernetes` (`pkg/controlplane/reconcilers`)."""


class Upkeep:
    """`populate` makes what is missing; it is called until it has succeeded once."""

    def __init__(
        self,
        registry: Registry,
        populate: Callable[[], Awaitable[None]],
        address: str,
        port: int,
        service_address: str,
    ) -> None:
        self._registry = registry
        self._populate = populate
        self._populated = False
        self._endpoint = (port, service_address)
        self._address = address

    async def start(self) -> None:
        """The first run. A storage that takes nothing (it may be full) is told; what is there can still be read."""
        try:
            await self.sync()
        except StatusError as error:
            klog.unhandled("controller.go:148", f"Unable to perform initial Kubernetes service initialization: {error}")

    async def sync(self) -> float:
        """For a Loop. Raises StatusError."""
        if not self._populated:
            await self._populate()
            self._populated = True
        addresses = await self._registry.store.announce(self._address)
        await bootstrap.own_service(self._registry, addresses, *self._endpoint)
        return _RECONCILE_SECONDS

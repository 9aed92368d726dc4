"""The node's Lease: renewed every quarter of its duration (component-helpers apimachinery/lease/controller.go)."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from cka_kubelet.clock import Clock
from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.gofmt import format_duration
from cka_kubelet.kube.httpclient import TransportError

Object = dict[str, Any]

_PATH = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_FIRST, _MOST = 0.1, 7.0
_UPDATES = 5
_APIError = (StatusError, TransportError)


class LeaseController:
    """Keeps the lease of node `name`. `get_node` asks the API for the Node, which becomes the lease's owner."""

    def __init__(
        self,
        api: APIClient,
        clock: Clock,
        name: str,
        duration: int,
        get_node: Callable[[], Awaitable[Object]],
        on_repeated_failure: Callable[[], None],
    ) -> None:
        self._api = api
        self._clock = clock
        self._name = name
        self._duration = duration
        self._renew_every = duration * 0.25
        self._get_node = get_node
        self._on_repeated_failure = on_repeated_failure
        self._latest: Object | None = None

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await self._sync()
            await asyncio.sleep(self._renew_every * (1 + 0.04 * random.random()))  # noqa: S311

    async def _sync(self) -> None:
        if self._latest is not None:
            if await self._retry_update(self._latest):
                return
            klog.info(
                "controller.go:125", "Failed to update lease using latest lease, fallback to ensure lease",
                err=f"failed {_UPDATES} attempts to update lease",
            )  # fmt: skip
        lease, created = await self._ensure_with_back_off()
        self._latest = lease
        if not created and lease is not None and not await self._retry_update(lease):
            klog.error(
                "controller.go:136", "Will retry updating lease",
                err=f"failed {_UPDATES} attempts to update lease", interval=format_duration(self._renew_every),
            )  # fmt: skip

    async def _ensure_with_back_off(self) -> tuple[Object | None, bool]:
        sleep = _FIRST
        while True:
            try:
                return await self._ensure()
            except _APIError as error:
                sleep = min(2 * sleep, _MOST)
                klog.error(
                    "controller.go:145", "Failed to ensure lease exists, will retry", err=error,
                    interval=format_duration(sleep),
                )  # fmt: skip
                await asyncio.sleep(sleep)

    async def _ensure(self) -> tuple[Object | None, bool]:
        """(the lease, whether it was made just now); no lease while the node is not registered."""
        try:
            return await self._api.get(f"{_PATH}/{self._name}"), False
        except StatusError as error:
            if error.code != 404:
                raise
        lease = await self._renewed(None)
        if not lease["metadata"].get("ownerReferences"):
            return None, False
        return await self._api.create(_PATH, lease), True

    async def _retry_update(self, base: Object) -> bool:
        for attempt in range(_UPDATES):
            try:
                self._latest = await self._api.update(f"{_PATH}/{self._name}", await self._renewed(base))
            except _APIError as error:
                klog.error("controller.go:195", "Failed to update lease", err=error)
                if isinstance(error, StatusError) and error.code == 409:
                    ensured, _ = await self._ensure_with_back_off()
                    base = ensured or base
                    continue
                if attempt > 0:
                    self._on_repeated_failure()
            else:
                return True
        return False

    async def _renewed(self, base: Object | None) -> Object:
        now = self._clock.now()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"
        lease = base or {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": self._name, "leaseDurationSeconds": self._duration},
        }
        lease = {**lease, "metadata": dict(lease["metadata"]), "spec": {**lease.get("spec", {}), "renewTime": stamp}}
        if not lease["metadata"].get("ownerReferences"):
            try:
                node = await self._get_node()
            except _APIError as error:
                klog.error(
                    "nodelease.go:49", "Failed to get node when trying to set owner ref to the node lease", err=error,
                    node=self._name,
                )  # fmt: skip
                return lease
            lease["metadata"]["ownerReferences"] = [
                {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": node["metadata"].get("uid", "")}
            ]
        return lease

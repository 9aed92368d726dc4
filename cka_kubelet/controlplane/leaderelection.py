"""One leader among several copies of a program, by a Lease (client-go tools/leaderelection)."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from cka_kubelet.controlplane.client import Client
from cka_kubelet.kube import klog
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kube.times import micro_timestamp

Object = dict[str, Any]
APIError = (StatusError, TransportError)

_JITTER = 1.2
_TOLERATED = 20.0


class Election(NamedTuple):
    """Which Lease, and the rhythm in seconds. `release`: whether the lease is given up at the end."""

    namespace: str
    name: str
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    release: bool = False


def problem(election: Election) -> str | None:
    """What NewLeaderElector finds wrong with the rhythm."""
    if election.lease_duration <= election.renew_deadline:
        return "leaseDuration must be greater than renewDeadline"
    if election.renew_deadline <= _JITTER * election.retry_period:
        return "renewDeadline must be greater than retryPeriod*JitterFactor"
    if election.retry_period < 1:
        return "retryPeriod must be greater than zero"
    return None


class LeaderElector:
    """Acquires the lease, then keeps it. Give `client` a timeout of half the renew deadline, as upstream does."""

    def __init__(
        self,
        client: Client,
        election: Election,
        identity: str,
        now: Callable[[], float] = time.time,
        event: Callable[[Object, str], None] = lambda _lease, _text: None,
    ) -> None:
        self._client = client
        self._election = election
        self._identity = identity
        self._now = now
        self._event = event
        self._lease: Object = {}
        self._observed = 0.0
        self._lock = f"{election.namespace}/{election.name}"
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{election.namespace}/leases"

    @property
    def leading(self) -> bool:
        """Whether the lease was last seen in our hands."""
        return bool(self._spec().get("holderIdentity") == self._identity)

    async def problem(self) -> str:
        """What the health check `leaderElection` says: a lease that could not be renewed for far too long."""
        late = self._now() - self._observed > self._election.lease_duration + _TOLERATED
        if self.leading and late:
            return f"failed election to renew leadership on lease {self._election.name}"
        return ""

    async def acquire(self) -> None:
        """Return as the leader."""
        klog.info("leaderelection.go:258", "Attempting to acquire leader lease...", lock=self._lock)
        while not await self._try():
            klog.info("leaderelection.go:267", "Failed to acquire lease", v=4, lock=self._lock)
            await asyncio.sleep(self._election.retry_period * (1 + random.random() * _JITTER))  # noqa: S311
        self._event(self._lease, f"{self._identity} became leader")
        klog.info("leaderelection.go:272", "Successfully acquired lease", lock=self._lock)

    async def renew(self) -> None:
        """Keep the lease; returns when it could not be renewed in time."""
        while await self._renewed_in_time():
            klog.info("leaderelection.go:300", "Successfully renewed lease", v=5, lock=self._lock)
            await asyncio.sleep(self._election.retry_period)
        problem = "context deadline exceeded"
        klog.info("leaderelection.go:304", "Failed to renew lease", lock=self._lock, err=problem)
        self._event(self._lease, f"{self._identity} stopped leading")

    async def _renewed_in_time(self) -> bool:
        try:
            async with asyncio.timeout(self._election.renew_deadline):
                while not await self._try():  # noqa: ASYNC110  # the lease is no event of ours
                    await asyncio.sleep(self._election.retry_period)
        except TimeoutError:
            return False
        return True

    async def release(self) -> None:
        """Give the lease up, so that another need not wait for its end."""
        if not (self.leading and self._election.release):
            return
        now = micro_timestamp(self._now())
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now, "acquireTime": now}
        spec["leaseTransitions"] = self._spec().get("leaseTransitions", 0)
        try:
            await self._write({**self._lease, "spec": spec})
        except APIError as error:
            klog.error("leaderelection.go:341", "Failed to release lease", err=error, lock=self._lock)

    def _spec(self) -> Object:
        return dict(self._lease.get("spec") or {})

    def _valid(self) -> bool:
        return self._observed + float(self._spec().get("leaseDurationSeconds") or 0) > self._now()

    def _see(self, lease: Object) -> None:
        self._lease, self._observed = lease, self._now()

    async def _write(self, lease: Object) -> None:
        self._see(await self._client.update(f"{self._path}/{self._election.name}", lease))

    async def _try(self) -> bool:
        """One attempt to acquire or renew."""
        if self.leading and self._valid():
            try:
                await self._write({**self._lease, "spec": self._record(self._spec())})
            except APIError as error:
                text = "Failed to update lease optimistically, falling back to slow path"
                klog.info("leaderelection.go:454", text, v=2, lock=self._lock, err=str(error))
            else:
                return True
        try:
            found = await self._client.get(f"{self._path}/{self._election.name}")
        except APIError as error:
            if not isinstance(error, StatusError) or error.code != 404:
                klog.error("leaderelection.go:461", "Error retrieving lease lock", err=error, lock=self._lock)
                return False
            return await self._create()
        if found.get("spec") != self._lease.get("spec"):
            self._see(found)
        if self._spec().get("holderIdentity") and self._valid() and not self.leading:
            holder = self._spec()["holderIdentity"]
            text = "Lease is held by and has not yet expired"
            klog.info("leaderelection.go:481", text, v=4, lock=self._lock, holder=holder)
            return False
        try:
            await self._write({**found, "spec": self._record(found.get("spec") or {})})
        except APIError as error:
            klog.error("leaderelection.go:497", "Failed to update lease", err=error, lock=self._lock)
            return False
        return True

    async def _create(self) -> bool:
        metadata = {"name": self._election.name, "namespace": self._election.namespace}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
        try:
            self._see(await self._client.create(self._path, {**lease, "spec": self._record({})}))
        except APIError as error:
            klog.error("leaderelection.go:465", "Error initially creating lease lock", err=error, lock=self._lock)
            return False
        return True

    def _record(self, old: Object) -> Object:
        now = micro_timestamp(self._now())
        mine = old.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._election.lease_duration),
            "acquireTime": old.get("acquireTime", now) if mine else now,
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (1 if old and not mine else 0),
        }

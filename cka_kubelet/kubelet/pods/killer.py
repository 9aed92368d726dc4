"""Stopping containers and pods within their grace."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.events import NORMAL, WARNING, PodEvents
from cka_kubelet.kubelet.pods.lifecycle import HookError, Hooks

Turn = Callable[[], Awaitable[None]]

MINIMUM_GRACE = 2
"""Seconds that a container gets even when none were granted (minimumGracePeriodInSeconds)."""


class Killer:
    """Stops what must go."""

    def __init__(self, cri: CRIClient, hooks: Hooks, events: PodEvents) -> None:
        self._cri = cri
        self._hooks = hooks
        self._events = events

    async def container(
        self,
        pod: objects.Pod,
        target: rs.ContainerStatus,
        message: str,
        *,
        reason: str = "",
        grace: int | None = None,
        ips: list[str] | None = None,
        turn: Turn | None = None,
    ) -> None:
        """preStop, SIGTERM, SIGKILL. `grace` overrides the pod's, in seconds; `turn` is awaited between preStop and
        SIGTERM as long as there is grace. Raises RpcError."""
        container = objects.find_container(pod, target.name)
        seconds = self._grace(pod, container, target, reason) if grace is None else grace
        if container is not None:
            self._events.container(pod, container, NORMAL, "Killing", message or f"Stopping container {target.name}")
            handler = (container.get("lifecycle") or {}).get("preStop")
            if handler and seconds > 0:
                seconds -= await self._pre_stop(pod, container, target, handler, seconds, ips or [])
        if turn is not None and seconds > 0:
            seconds -= await _wait(turn, seconds)
        await self._stop(pod, target, max(seconds, MINIMUM_GRACE))

    async def _stop(self, pod: objects.Pod, target: rs.ContainerStatus, seconds: int) -> None:
        try:
            await self._cri.stop_container(target.id, seconds)
        except RpcError as error:
            if error.code == "NotFound":
                return
            klog.error(
                "kuberuntime_container.go:887",
                "Container termination failed with gracePeriod",
                err=error,
                pod=objects.key(pod),
                podUID=objects.uid(pod),
                containerName=target.name,
                containerID=f"containerd://{target.id}",
                gracePeriod=seconds,
            )
            raise

    @staticmethod
    def _grace(pod: objects.Pod, container: objects.Container | None, target: rs.ContainerStatus, reason: str) -> int:
        probe = {"liveness": "livenessProbe", "startup": "startupProbe"}.get(reason)
        own = ((container or {}).get(probe) or {}).get("terminationGracePeriodSeconds") if probe else None
        if own is not None:
            return int(own)
        if target.grace is not None and not objects.containers(pod):
            return int(target.grace)
        return objects.grace_period(pod)

    async def _pre_stop(
        self,
        pod: objects.Pod,
        container: objects.Container,
        target: rs.ContainerStatus,
        handler: dict[str, object],
        seconds: int,
        ips: list[str],
    ) -> int:
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await self._hooks.run(pod, container, target.id, ips, handler)
        except TimeoutError:
            pass
        except HookError as error:
            klog.error(
                "kuberuntime_container.go:786",
                "PreStop hook failed",
                err=error,
                pod=objects.key(pod),
                podUID=objects.uid(pod),
                containerName=container["name"],
                containerID=f"containerd://{target.id}",
            )
            self._events.container(pod, container, WARNING, "FailedPreStopHook", "PreStopHook failed")
        return int(time.monotonic() - began)

    async def pod(self, pod: objects.Pod, status: rs.PodStatus, grace: int | None = None) -> list[str]:
        """Stop every container, then the sandboxes. The texts of what failed.

        All preStop hooks run at once; SIGTERM reaches sidecars last and in reverse order (termination_order.go).
        """
        running = [c for c in status.containers if c.state in (rs.RUNNING, rs.UNKNOWN)]
        gone = {c.id: asyncio.Event() for c in running}
        results = await asyncio.gather(
            *(self._in_turn(pod, c, _before(pod, c, running), gone, grace, status.ips) for c in running),
            return_exceptions=True,
        )
        results += await asyncio.gather(
            *(self._cri.stop_pod_sandbox(s.id) for s in status.sandboxes), return_exceptions=True
        )
        return [_raised(r) for r in results if isinstance(r, BaseException)]

    async def _in_turn(
        self,
        pod: objects.Pod,
        target: rs.ContainerStatus,
        before: list[str],
        gone: dict[str, asyncio.Event],
        grace: int | None,
        ips: list[str],
    ) -> None:
        async def turn() -> None:
            for container_id in before:
                await gone[container_id].wait()

        try:
            await self.container(pod, target, "", grace=grace, ips=ips, turn=turn)
        finally:
            gone[target.id].set()


def _before(pod: objects.Pod, target: rs.ContainerStatus, running: list[rs.ContainerStatus]) -> list[str]:
    """The containers that must be gone before a sidecar gets its SIGTERM: the main ones, and later sidecars."""
    sidecars = [c["name"] for c in objects.init_containers(pod) if objects.is_sidecar(c)]
    if target.name not in sidecars:
        return []
    first = {c["name"] for c in objects.containers(pod)} | set(sidecars[sidecars.index(target.name) + 1 :])
    return [c.id for c in running if c.name in first]


async def _wait(turn: Turn, seconds: int) -> int:
    """Await the turn, at most so long. The seconds it took."""
    began = time.monotonic()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await turn()
    return int(time.monotonic() - began)


def _raised(error: BaseException) -> str:
    if isinstance(error, Exception):
        return str(error)
    raise error

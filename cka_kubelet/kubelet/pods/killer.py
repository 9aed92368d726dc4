"""Stopping containers and pods within their grace."""

import asyncio
import time

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.events import NORMAL, WARNING, PodEvents
from cka_kubelet.kubelet.pods.lifecycle import HookError, Hooks

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
    ) -> None:
        """preStop, SIGTERM, SIGKILL. `grace` overrides the pod's, in seconds. Raises RpcError."""
        container = objects.find_container(pod, target.name)
        seconds = self._grace(pod, container, target, reason) if grace is None else grace
        if container is not None:
            self._events.container(pod, container, NORMAL, "Killing", message or f"Stopping container {target.name}")
            handler = (container.get("lifecycle") or {}).get("preStop")
            if handler and seconds > 0:
                seconds -= await self._pre_stop(pod, container, target, handler, seconds, ips or [])
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
        """Stop every container, sidecars last and in reverse order, then the sandboxes. The texts of what failed."""
        sidecars = [c["name"] for c in objects.init_containers(pod) if objects.is_sidecar(c)]
        running = [c for c in status.containers if c.state in (rs.RUNNING, rs.UNKNOWN)]
        began = time.monotonic()
        errors = await self._all(pod, [c for c in running if c.name not in sidecars], grace, status.ips)
        for name in reversed(sidecars):
            left = (objects.grace_period(pod) if grace is None else grace) - int(time.monotonic() - began)
            errors += await self._all(pod, [c for c in running if c.name == name], max(left, 0), status.ips)
        results = await asyncio.gather(
            *(self._cri.stop_pod_sandbox(s.id) for s in status.sandboxes), return_exceptions=True
        )
        return errors + [_raised(r) for r in results if isinstance(r, BaseException)]

    async def _all(
        self, pod: objects.Pod, targets: list[rs.ContainerStatus], grace: int | None, ips: list[str]
    ) -> list[str]:
        results = await asyncio.gather(
            *(self.container(pod, c, "", grace=grace, ips=ips) for c in targets), return_exceptions=True
        )
        return [_raised(r) for r in results if isinstance(r, BaseException)]


def _raised(error: BaseException) -> str:
    if isinstance(error, Exception):
        return str(error)
    raise error

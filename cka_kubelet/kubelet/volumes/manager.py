"""Setting a pod's volumes up, again and again until it works, and taking them down."""

import asyncio
import time
from typing import Any, NamedTuple

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import format_duration
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.events import WARNING, PodEvents
from cka_kubelet.kubelet.volumes import specs
from cka_kubelet.kubelet.volumes.claims import ClaimError, Claims
from cka_kubelet.kubelet.volumes.complaints import plugin_lines
from cka_kubelet.kubelet.volumes.setup import NOT_ATTACHED, Plugins, SetUpError
from cka_kubelet.kubelet.volumes.specs import Spec
from cka_kubelet.kubelet.volumes.teardown import TearDown

WAIT = 123.0
"""Seconds that one sync waits for volumes (podAttachAndMountTimeout)."""
_FIRST, _MOST = 0.5, 122.0
_BORN = time.monotonic()


class VolumeError(Exception):
    """Some volumes are still missing; str() is the pod worker's error.

    `interrupted`: only for want of time, so upstream records no event.
    """

    def __init__(
        self, unmounted: list[str], unattached: list[str], unprocessed: list[str], why: str, *, interrupted: bool
    ) -> None:
        super().__init__(
            f"unmounted volumes=[{' '.join(unmounted)}], unattached volumes=[{' '.join(unattached)}], "
            f"failed to process volumes=[{' '.join(unprocessed)}]: {why}"
        )
        self.interrupted = interrupted


class Mounted(NamedTuple):
    """A volume that is set up, and where on the node it is."""

    spec: Spec
    path: str


class VolumeManager:
    """Keeps where each pod's volumes are, by name."""

    def __init__(self, events: PodEvents, claims: Claims, plugins: Plugins, down: TearDown) -> None:
        self._events = events
        self._claims = claims
        self._plugins = plugins
        self._down = down
        self._ready: dict[str, dict[str, Mounted]] = {}
        self._delays: dict[tuple[str, str], tuple[float, float]] = {}
        self._attachable: dict[str, dict[str, str]] = {}
        self._waiting: dict[tuple[str, str], str] = {}

    def mounted(self, uid: str) -> dict[str, Mounted]:
        """What is set up for a pod, by the volume's name in the pod."""
        return self._ready.get(uid, {})

    def in_use(self) -> list[str]:
        """node.status.volumesInUse: attachable volumes that a pod of this node has or wants, by unique name."""
        return sorted({unique for volumes in self._attachable.values() for unique in volumes.values()})

    def totals(self) -> dict[tuple[str, str], int]:
        """Volumes by plugin, `desired_state_of_world` and `actual_state_of_world` (volumemanager/metrics)."""
        found: dict[tuple[str, str], int] = {}
        for mounted in self._ready.values():
            for volume in mounted.values():
                for state in ("actual_state_of_world", "desired_state_of_world"):
                    found[volume.spec.plugin, state] = found.get((volume.spec.plugin, state), 0) + 1
        for plugin in self._waiting.values():
            key = (plugin, "desired_state_of_world")
            found[key] = found.get(key, 0) + 1
        return found

    def claimed(self, pod: objects.Pod) -> list[tuple[str, str]]:
        """(claim, path) of the pod's mounted volumes behind a PersistentVolumeClaim."""
        volumes = {str(v["name"]): specs.claim_name(pod, v) for v in pod["spec"].get("volumes") or ()}
        mounted = self.mounted(objects.uid(pod)).items()
        return [(volumes[name], found.path) for name, found in mounted if volumes.get(name)]

    def _unattached(self, pod: objects.Pod) -> list[str]:
        known = self._attachable.get(objects.uid(pod), {})
        return sorted(name for name, unique in known.items() if not self._plugins.attached(unique))

    async def mount(self, pod: objects.Pod) -> None:
        """Set up every used volume, bring files made from API objects up to date. Raises VolumeError within WAIT."""
        deadline = time.monotonic() + WAIT
        wanted = list(specs.used(pod))
        while True:
            errors = {}
            for volume in wanted:
                try:
                    await self._try(pod, volume)
                except ClaimError as error:
                    errors[str(volume["name"])] = str(error)
            missing = sorted(str(v["name"]) for v in wanted if v["name"] not in self.mounted(objects.uid(pod)))
            if not missing:
                return
            if errors:
                raise VolumeError(
                    missing, self._unattached(pod), sorted(errors), "; ".join(errors.values()), interrupted=False
                )
            retry = min(self._delays[objects.uid(pod), name][0] for name in missing)
            await asyncio.sleep(max(0.0, min(retry, deadline) - time.monotonic()))
            if retry > deadline:
                raise VolumeError(missing, self._unattached(pod), [], "context deadline exceeded", interrupted=True)

    async def _try(self, pod: objects.Pod, volume: dict[str, Any]) -> None:
        uid = objects.uid(pod)
        known = self.mounted(uid).get(volume["name"])
        if known is not None and known.spec.kind not in specs.FROM_API:
            return
        key = (uid, str(volume["name"]))
        delayed = self._delays.get(key)
        if delayed and time.monotonic() < delayed[0]:
            return
        spec = await self._resolve(pod, volume)
        began, status = time.monotonic(), "fail-unknown"
        try:
            path = await self._set_up(pod, spec)
            status = "success"
        except SetUpError as error:
            self._waiting[key] = spec.plugin
            delay = min(delayed[1] * 2, _MOST) if delayed else _FIRST
            self._delays[key] = (time.monotonic() + delay, delay)
            self._complain(pod, spec, error, delay)
            return
        finally:
            observed.storage_seconds.add(time.monotonic() - began, "false", "volume_mount", status, spec.plugin)
        self._waiting.pop(key, None)
        self._delays.pop(key, None)
        self._ready.setdefault(uid, {})[key[1]] = Mounted(spec, path)

    async def _set_up(self, pod: objects.Pod, spec: Spec) -> str:
        """The volume's path, once it is attached if it must be. Raises SetUpError."""
        if await self._plugins.attachable(spec):
            unique = spec.unique_name(objects.uid(pod))
            self._attachable.setdefault(objects.uid(pod), {})[spec.volume] = unique
            if not self._plugins.attached(unique):
                raise SetUpError("", NOT_ATTACHED)
        return await self._plugins.set_up(pod, spec)

    async def _resolve(self, pod: objects.Pod, volume: dict[str, Any]) -> Spec:
        try:
            return await self._claims.resolve(pod, volume)
        except ClaimError as error:
            klog.error(
                "desired_state_of_world_populator.go:318",
                "Error processing volume",
                err=error,
                pod=objects.key(pod),
                volumeName=volume["name"],
            )
            raise

    def _complain(self, pod: objects.Pod, spec: Spec, error: SetUpError, delay: float) -> None:
        uid = objects.uid(pod)
        source = {"name": spec.volume, spec.kind: spec.source}
        for where, line in plugin_lines(spec.kind, objects.namespace(pod), objects.name(pod), source, str(error)):
            klog.raw("E", where, line)
        unique = spec.unique_name(uid)
        problem = f"{error.step} for volume {q(spec.name)}"
        retry = f"No retries permitted until {_go_time(delay)} (durationBeforeRetry {format_duration(delay)})"
        shared = unique == spec.unique_name("")
        operation = f'Operation for "{{volumeName:{unique} podName:{"" if shared else uid} nodeName:}}" failed.'
        where = f"(UniqueName: {q(unique)}) pod {q(objects.name(pod))} (UID: {q(uid)})"
        text = f" : {error}" if error.step != NOT_ATTACHED else ""
        klog.raw("E", "nestedpendingoperations.go:348", f"{operation} {retry}. Error: {problem} {where}{text}")
        if error.step == NOT_ATTACHED:
            return  # the attach/detach controller tells of it
        self._events.pod(pod, WARNING, "FailedMount", f"{problem} : {error}")

    async def unmount(self, uid: str) -> None:
        """Take the pod's volumes down; files of an emptyDir go with it."""
        gone = self._ready.pop(uid, {})
        for key in [k for k in self._delays if k[0] == uid]:
            del self._delays[key]
            self._waiting.pop(key, None)
        began = time.monotonic()
        await self._down.volumes(uid)
        for volume in gone.values():
            plugin = volume.spec.plugin
            observed.storage_seconds.add(time.monotonic() - began, "false", "volume_unmount", "success", plugin)
        self._attachable.pop(uid, None)


def _go_time(delay: float) -> str:
    """The moment `delay` seconds from now as Go prints a time, its monotonic reading included."""
    until = time.time() + delay
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(until)) + f".{int(until % 1 * 1e9):09d}"
    zone = time.strftime("%z %Z", time.localtime(until))
    return f"{stamp} {zone} m=+{time.monotonic() - _BORN + delay:.9f}"

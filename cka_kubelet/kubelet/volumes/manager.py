"""Setting a pod's volumes up, again and again until it works, and taking them down."""

import asyncio
import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import format_duration, path_error
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kubelet.pods import objects, resources
from cka_kubelet.kubelet.pods.events import WARNING, PodEvents
from cka_kubelet.kubelet.pods.settings import Settings
from cka_kubelet.kubelet.volumes import hostpath, mounts, writer
from cka_kubelet.kubelet.volumes.complaints import plugin_lines
from cka_kubelet.kubelet.volumes.payloads import Payloads

WAIT = 123.0
"""Seconds that one sync waits for volumes (podAttachAndMountTimeout)."""
_FIRST, _MOST = 0.5, 122.0
_BORN = time.monotonic()
_MEMORY = frozenset({"secret", "projected", "downwardAPI"})
_PLUGINS = {
    "emptyDir": "empty-dir",
    "configMap": "configmap",
    "secret": "secret",
    "downwardAPI": "downward-api",
    "projected": "projected",
    "hostPath": "host-path",
}


class VolumeError(Exception):
    """Some volumes are still missing after the wait; str() is the pod worker's error."""


class _SetUpError(Exception):
    """One attempt at one volume failed."""


class VolumeManager:
    """Keeps where each pod's volumes are, by name."""

    def __init__(self, settings: Settings, events: PodEvents, payloads: Payloads) -> None:
        self._settings = settings
        self._events = events
        self._payloads = payloads
        self._ready: dict[str, dict[str, str]] = {}
        self._delays: dict[tuple[str, str], tuple[float, float]] = {}

    def paths(self, uid: str) -> dict[str, str]:
        """Host path by volume name, of what is set up."""
        return self._ready.get(uid, {})

    def in_use(self, uid: str) -> list[str]:
        """Names of the volumes that the pod still has on this node."""
        return sorted(self._ready.get(uid, {}))

    async def mount(self, pod: objects.Pod) -> None:
        """Set up every volume, bring files made from API objects up to date. Raises VolumeError after WAIT seconds."""
        uid = objects.uid(pod)
        wanted = pod["spec"].get("volumes") or []
        deadline = time.monotonic() + WAIT
        while True:
            missing = []
            for volume in wanted:
                if not await self._try(pod, volume):
                    missing.append(volume["name"])
            ready = self._ready.get(uid, {})
            unmounted = [n for n in missing if n not in ready]
            if not unmounted:
                return
            retry = min(self._delays[uid, n][0] for n in unmounted)
            if retry > deadline:
                await asyncio.sleep(max(0.0, deadline - time.monotonic()))
                names = " ".join(unmounted)
                raise VolumeError(
                    f"unmounted volumes=[{names}], unattached volumes=[], failed to process volumes=[]: "
                    "context deadline exceeded"
                )
            await asyncio.sleep(max(0.0, retry - time.monotonic()))

    async def _try(self, pod: objects.Pod, volume: dict[str, Any]) -> bool:
        key = (objects.uid(pod), volume["name"])
        known = self._delays.get(key)
        if known and time.monotonic() < known[0]:
            return False
        try:
            path = await self._set_up(pod, volume)
        except _SetUpError as error:
            delay = min(known[1] * 2, _MOST) if known else _FIRST
            self._delays[key] = (time.monotonic() + delay, delay)
            self._complain(pod, volume, str(error), delay)
            return False
        self._delays.pop(key, None)
        self._ready.setdefault(objects.uid(pod), {})[volume["name"]] = path
        return True

    def _complain(self, pod: objects.Pod, volume: dict[str, Any], text: str, delay: float) -> None:
        uid, name = objects.uid(pod), volume["name"]
        kind = next((k for k in _PLUGINS if k in volume), "")
        for source, line in plugin_lines(kind, objects.namespace(pod), objects.name(pod), volume, text):
            klog.raw("E", source, line)
        unique = f"kubernetes.io/{_PLUGINS.get(kind, 'unknown')}/{uid}-{name}"
        problem = f"MountVolume.SetUp failed for volume {q(name)}"
        retry = f"No retries permitted until {_go_time(delay)} (durationBeforeRetry {format_duration(delay)})"
        operation = f'Operation for "{{volumeName:{unique} podName:{uid} nodeName:}}" failed.'
        where = f"(UniqueName: {q(unique)}) pod {q(objects.name(pod))} (UID: {q(uid)})"
        klog.raw("E", "nestedpendingoperations.go:348", f"{operation} {retry}. Error: {problem} {where} : {text}")
        self._events.pod(pod, WARNING, "FailedMount", f"{problem} : {text}")

    async def _set_up(self, pod: objects.Pod, volume: dict[str, Any]) -> str:
        """Make the volume; its host path. Raises _SetUpError."""
        try:
            if "hostPath" in volume:
                spec = volume["hostPath"] or {}
                hostpath.check(spec.get("path") or "", spec.get("type") or "")
                return str(spec.get("path"))
            if "emptyDir" in volume:
                return self._empty_dir(pod, volume)
            for kind in ("configMap", "secret", "downwardAPI", "projected"):
                if kind in volume:
                    return await self._files(pod, volume, kind)
        except LookupError as error:
            raise _SetUpError(str(error.args[0] if error.args else error)) from None
        except OSError as error:
            raise _SetUpError(path_error("mkdir", error.filename, error)) from None
        except (hostpath.HostPathError, ValueError) as error:
            raise _SetUpError(str(error)) from None
        if len(volume) == 1:
            return self._empty_dir(pod, {**volume, "emptyDir": {}})
        raise _SetUpError("no volume plugin matched name")

    def _directory(self, pod: objects.Pod, volume: dict[str, Any], kind: str) -> Path:
        base = Path(self._settings.pod_dir(objects.uid(pod))) / "volumes"
        return base / f"kubernetes.io~{_PLUGINS[kind]}" / str(volume["name"])

    def _empty_dir(self, pod: objects.Pod, volume: dict[str, Any]) -> str:
        path = self._directory(pod, volume, "emptyDir")
        spec = volume["emptyDir"] or {}
        if not path.is_dir():
            path.mkdir(parents=True)
        if spec.get("medium") == "Memory":
            size = resources.byte_count(spec.get("sizeLimit"))
            mounts.mount_tmpfs(path, f"size={size}" if size else "")
        path.chmod(0o777)
        _give_to_group(pod, path)
        return str(path)

    async def _files(self, pod: objects.Pod, volume: dict[str, Any], kind: str) -> str:
        payload = await self._payloads.of(pod, volume)
        path = self._directory(pod, volume, kind)
        path.mkdir(parents=True, exist_ok=True)
        if kind in _MEMORY:
            mounts.mount_tmpfs(path)
        path.chmod(0o777 if kind != "secret" else 0o1777)
        if writer.write(path, payload):
            _give_to_group(pod, path)
        return str(path)

    async def unmount(self, uid: str) -> None:
        """Take the pod's volumes down; files of an emptyDir go with it."""
        self._ready.pop(uid, None)
        for key in [k for k in self._delays if k[0] == uid]:
            del self._delays[key]
        await asyncio.to_thread(remove_volumes, Path(self._settings.pod_dir(uid)) / "volumes")


def _go_time(delay: float) -> str:
    """The moment `delay` seconds from now as Go prints a time, its monotonic reading included."""
    until = time.time() + delay
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(until)) + f".{int(until % 1 * 1e9):09d}"
    zone = time.strftime("%z %Z", time.localtime(until))
    return f"{stamp} {zone} m=+{time.monotonic() - _BORN + delay:.9f}"


def remove_volumes(volumes: Path) -> None:
    """Unmount and delete everything below a pod's volumes directory."""
    with contextlib.suppress(OSError):
        for plugin in volumes.iterdir():
            for volume in plugin.iterdir():
                mounts.unmount(volume)
                if os.path.ismount(volume):
                    return
    shutil.rmtree(volumes, ignore_errors=True)


def _give_to_group(pod: objects.Pod, path: Path) -> None:
    """spec.securityContext.fsGroup owns the volume's files, and new files inherit it."""
    group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    if group is None:
        return
    for entry in [path, *path.rglob("*")]:
        os.chown(entry, -1, int(group), follow_symlinks=False)
        if entry.is_dir() and not entry.is_symlink():
            entry.chmod(0o2775)

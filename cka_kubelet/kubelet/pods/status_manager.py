"""Telling the API server what became of pods: status patches, and the last deletion."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import objects, resize

RETRY = 10.0
"""Seconds after which failed updates are tried again (syncPeriod)."""

Status = dict[str, Any]


class StatusManager:
    """Keeps each pod's newest status and sends what changed. Without `api` it only keeps.

    `mirror_of(pod)` gives a static pod's mirror; `finished(uid)` whether nothing of the pod is left on the node.
    """

    def __init__(
        self,
        api: APIClient | None,
        mirror_of: Callable[[objects.Pod], objects.Pod | None],
        finished: Callable[[str], bool],
    ) -> None:
        self._api = api
        self._mirror_of = mirror_of
        self._finished = finished
        self._statuses: dict[str, Status] = {}
        self._pods: dict[str, objects.Pod] = {}
        self._sent: dict[str, tuple[str, Status]] = {}
        self._dirty: dict[str, None] = {}
        self._changed: dict[str, float] = {}
        self._wake = asyncio.Event()

    def get(self, uid: str) -> Status | None:
        """The newest status, None for an unknown pod."""
        return self._statuses.get(uid)

    def set(self, pod: objects.Pod, status: Status) -> None:
        """Keep the pod's status, and send it soon if it differs."""
        uid = objects.uid(pod)
        self._pods[uid] = pod
        if self._statuses.get(uid) != status:
            self._statuses[uid] = status
            self._changed.setdefault(uid, time.monotonic())
            self.nudge(uid)
        elif objects.deleted(pod) or uid not in self._sent:
            self.nudge(uid)

    def nudge(self, uid: str) -> None:
        """Look at this pod again: its mirror appeared, or nothing of it is left."""
        if uid in self._statuses:
            self._dirty[uid] = None
            self._wake.set()

    def forget(self, uid: str) -> None:
        """The pod is gone from the API."""
        self._statuses.pop(uid, None)
        self._pods.pop(uid, None)
        self._sent.pop(uid, None)
        self._dirty.pop(uid, None)
        self._changed.pop(uid, None)

    async def run(self) -> None:
        """Send until cancelled."""
        if self._api is None:
            return
        klog.info("status_manager.go:277", "Starting to sync pod status with apiserver")
        while True:
            await self._wake.wait()
            self._wake.clear()
            failed = []
            while self._dirty:
                uid = next(iter(self._dirty))
                del self._dirty[uid]
                if not await self._sync(uid):
                    failed.append(uid)
            if failed:
                loop = asyncio.get_running_loop()
                for uid in failed:
                    loop.call_later(RETRY, self.nudge, uid)

    async def _sync(self, uid: str) -> bool:
        """Send one pod's status; False to try again later."""
        pod, status = self._pods.get(uid), self._statuses.get(uid)
        if pod is None or status is None or self._api is None:
            return True
        target = self._mirror_of(pod) if objects.is_static(pod) else pod
        if target is None:
            return True
        path = f"/api/v1/namespaces/{objects.namespace(target)}/pods/{objects.name(target)}"
        try:
            if not await self._patch(path, target, uid, status):
                return True
            await self._delete(path, pod, uid)
        except StatusError as error:
            if error.code == 404:
                return True
            self._complain(pod, error)
            return bool(error.code == 409)
        except TransportError:
            await self._explain(path, pod)
            return False
        return True

    async def _patch(self, path: str, target: objects.Pod, uid: str, status: Status) -> bool:
        """Send the difference; False when the pod there is another one of the same name."""
        api_uid = objects.uid(target)
        known_uid, base = self._sent.get(uid, ("", {}))
        if known_uid != api_uid:
            base = target.get("status") or {}
        change = difference(base, status)
        if change and self._api is not None:
            body = {"metadata": {"uid": api_uid}, "status": change}
            await self._api.patch(f"{path}/status", body)
            if klog.enabled(3, "status_manager.go"):
                klog.info(
                    "status_manager.go:1049", "Patch status for pod", v=3, pod=objects.key(target), podUID=uid,
                    patch=json.dumps(body, separators=(",", ":")),
                )  # fmt: skip
        self._sent[uid] = (api_uid, status)
        if (since := self._changed.pop(uid, None)) is not None:
            observed.status_sync_seconds.add(time.monotonic() - since)
        return True

    async def _delete(self, path: str, pod: objects.Pod, uid: str) -> None:
        if self._api is None or objects.is_static(pod) or not objects.deleted(pod) or not self._finished(uid):
            return
        options = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": uid},
        }
        try:
            await self._api.delete(path, options)
        except StatusError as error:
            if error.code not in (404, 409):
                klog.info(
                    "status_manager.go:1084", "Failed to delete status for pod", pod=objects.key(pod), err=str(error)
                )
                raise

    def _complain(self, pod: objects.Pod, error: StatusError) -> None:
        uid = objects.uid(pod)
        body = json.dumps({"metadata": {"uid": uid}, "status": self._statuses.get(uid)}, separators=(",", ":"))
        text = f"failed to patch status {q(body)} for pod {q(objects.namespace(pod))}/{q(objects.name(pod))}: {error}"
        klog.error("status_manager.go:1041", "Failed to update status for pod", err=text, pod=objects.key(pod))

    async def _explain(self, path: str, pod: objects.Pod) -> None:
        """Upstream asks for the pod first, so that is the request its log shows when the server is away."""
        try:
            if self._api is not None:
                await self._api.get(path)
        except (StatusError, TransportError) as error:
            klog.error(
                "status_manager.go:1018",
                "Failed to get status for pod",
                err=error,
                podUID=objects.uid(pod),
                pod=objects.key(pod),
            )


def difference(base: Status, wanted: Status) -> Status:
    """A strategic merge patch that makes `base` into `wanted`; addresses merge by `ip`, so stale ones are deleted."""
    change: Status = {}
    for key, value in wanted.items():
        if base.get(key) == value:
            continue
        change[key] = value
        if key in ("podIPs", "hostIPs"):
            now = {entry["ip"] for entry in value}
            stale = [e["ip"] for e in base.get(key) or [] if e["ip"] not in now]
            change[key] = [*value, *({"$patch": "delete", "ip": ip} for ip in stale)]
    if "conditions" in change:
        gone = {c["type"] for c in base.get("conditions") or []} - {c["type"] for c in wanted["conditions"]}
        change["conditions"] = [
            *_conditions(base.get("conditions") or [], wanted["conditions"]),
            *({"$patch": "delete", "type": kind} for kind in resize.CONDITIONS if kind in gone),
        ]
    for key in base.keys() - wanted.keys() - {"resize", "conditions", "resources"}:
        change[key] = None
    return change


def _conditions(base: list[Status], wanted: list[Status]) -> list[Status]:
    """The changed conditions; they merge by `type`, so fields that went away must be said to be null."""
    before = {c["type"]: c for c in base}
    result = []
    for condition in wanted:
        old = before.get(condition["type"], {})
        if condition != old:
            result.append({**condition, **dict.fromkeys(old.keys() - condition.keys())})
    return result

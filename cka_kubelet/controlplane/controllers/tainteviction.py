"""Deletes pods that do not tolerate a NoExecute taint of their node, after the seconds they tolerate it."""

import time
from collections.abc import Callable
from typing import Any

from cka_kubelet.controlplane.client import STRATEGIC_MERGE, Client
from cka_kubelet.controlplane.controllers.informer import APIError, Informer, Key
from cka_kubelet.controlplane.controllers.recorder import Recorder
from cka_kubelet.kube import klog
from cka_kubelet.kube.taints import tolerates
from cka_kubelet.kube.times import timestamp

Object = dict[str, Any]


def patience(tolerations: list[Object], taints: list[Object]) -> float | None:
    """Seconds a pod may stay with these NoExecute taints: 0 is not at all, None for ever."""
    shortest: float | None = None
    for taint in taints:
        fitting = [toleration for toleration in tolerations if tolerates(toleration, taint)]
        if not fitting:
            return 0.0
        limits = [float(item["tolerationSeconds"]) for item in fitting if item.get("tolerationSeconds") is not None]
        if limits:
            shortest = min([max(min(limits), 0.0), *([] if shortest is None else [shortest])])
    return shortest


class TaintEviction:
    """Keeps a deadline for every pod that has to go."""

    def __init__(self, client: Client, nodes: Informer, pods: Informer, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._nodes = nodes
        self._pods = pods
        self._now = now
        self._recorder = Recorder(client, "taint-eviction-controller", now)
        self._since: dict[Key, float] = {}

    async def sync(self) -> float | None:
        """Delete what is due; the seconds until the next deadline."""
        now, waits = self._now(), []
        for key, pod in list(self._pods.items.items()):
            limit = self._limit(pod)
            if limit is None:
                if self._since.pop(key, None) is not None:
                    await self._event(pod, f"Cancelling deletion of Pod {key[0]}/{key[1]}")
                continue
            left = self._since.setdefault(key, now) + limit - now
            if left > 0:
                waits.append(left)
            else:
                await self._evict(key, pod)
        for key in [key for key in self._since if key not in self._pods.items]:
            del self._since[key]
        return min(waits) + 0.01 if waits else None

    def _limit(self, pod: Object) -> float | None:
        spec = pod.get("spec") or {}
        node = self._nodes.get("", spec.get("nodeName") or "")
        if node is None or pod["metadata"].get("deletionTimestamp"):
            return None
        all_taints = (node.get("spec") or {}).get("taints") or ()
        taints = [taint for taint in all_taints if taint.get("effect") == "NoExecute"]
        return patience(spec.get("tolerations") or [], taints) if taints else None

    async def _evict(self, key: Key, pod: Object) -> None:
        namespace, name = key
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        await self._event(pod, f"Marking for deletion Pod {namespace}/{name}")
        disrupted = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": timestamp(self._now()),
        }
        try:
            await self._client.patch(f"{path}/status", {"status": {"conditions": [disrupted]}}, STRATEGIC_MERGE)
            await self._client.delete(path, {"preconditions": {"uid": pod["metadata"]["uid"]}})
        except APIError as error:
            klog.error("taint_eviction.go:144", "Failed to evict pod", err=error, pod=f"{namespace}/{name}")
        self._since.pop(key, None)

    async def _event(self, pod: Object, message: str) -> None:
        await self._recorder.event(pod, "Pod", "TaintManagerEviction", message)

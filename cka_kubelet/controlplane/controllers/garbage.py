"""Deletes what nobody owns any more, pods of nodes that are gone, and events that are old."""

import time
from collections.abc import Callable
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers.informer import APIError, Informer
from cka_kubelet.controlplane.controllers.nodehealth import seconds
from cka_kubelet.controlplane.kinds import KINDS
from cka_kubelet.kube import klog

Object = dict[str, Any]

_OWNED = ("replicasets.apps", "pods", "jobs.batch", "endpointslices.discovery.k8s.io", "leases.coordination.k8s.io")
_OWNERS = (
    "nodes",
    "services",
    "deployments.apps",
    "replicasets.apps",
    "daemonsets.apps",
    "statefulsets.apps",
    "jobs.batch",
    "cronjobs.batch",
    "replicationcontrollers",
    "pods",
)
_ORPHAN_SECONDS = 40.0  # upstream's quarantine before a missing node's pods go
_PERIOD = 20.0
_EVENT_TTL = 3600.0


class GarbageCollector:
    """One pass: orphans of deleted owners and nodes."""

    def __init__(self, client: Client, nodes: Informer, pods: Informer, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._nodes = nodes
        self._pods = pods
        self._now = now
        self._missing: dict[str, float] = {}
        self._paths = {kind.resource: kind for kind in KINDS}

    async def sync(self) -> float:
        """Delete what is to be deleted; seconds until the next pass."""
        await self._collect_owned()
        await self._collect_lost_pods()
        await self._expire_events()
        return _PERIOD

    async def _collect_owned(self) -> None:
        owned = []
        for resource in _OWNED:
            found = await self._client.list(self._paths[resource].path())
            for item in found["items"]:
                if item["metadata"].get("ownerReferences") and not item["metadata"].get("deletionTimestamp"):
                    owned.append((resource, item))
        if not owned:
            return
        alive = set()
        for resource in _OWNERS:
            found = await self._client.list(self._paths[resource].path())
            alive |= {item["metadata"]["uid"] for item in found["items"]}
        for resource, item in owned:
            uids = {owner.get("uid") for owner in item["metadata"]["ownerReferences"]}
            # A mirror pod is owned by its node under the kubelet's name for it, a lease by the node's UID.
            known = all(self._paths_has(owner) for owner in item["metadata"]["ownerReferences"])
            if known and not uids & alive:
                await self._delete(resource, item)

    def _paths_has(self, owner: Object) -> bool:
        return any(kind.kind == owner.get("kind") and kind.resource in _OWNERS for kind in KINDS)

    async def _delete(self, resource: str, item: Object, options: Object | None = None) -> None:
        metadata = item["metadata"]
        path = self._paths[resource].path(metadata.get("namespace", ""), metadata["name"])
        try:
            await self._client.delete(path, {**(options or {}), "preconditions": {"uid": metadata["uid"]}})
        except APIError as error:
            if getattr(error, "code", 0) not in (404, 409):
                klog.error("garbagecollector.go:365", "Failed to delete object", err=error, object=path)

    async def _collect_lost_pods(self) -> None:
        now, bound = self._now(), set()
        for pod in list(self._pods.items.values()):
            node = (pod.get("spec") or {}).get("nodeName")
            deleted = pod["metadata"].get("deletionTimestamp")
            if not node:
                if deleted:
                    await self._delete("pods", pod, {"gracePeriodSeconds": 0})
                continue
            bound.add(node)
            if self._nodes.get("", node) is not None:
                self._missing.pop(node, None)
            elif now - self._missing.setdefault(node, now) >= _ORPHAN_SECONDS:
                klog.info("gc_controller.go:330", "PodGC is force deleting Pod", pod=pod["metadata"]["name"])
                await self._delete("pods", pod, {"gracePeriodSeconds": 0})
        self._missing = {node: since for node, since in self._missing.items() if node in bound}

    async def _expire_events(self) -> None:
        found = await self._client.list("/api/v1/events")
        for event in found["items"]:
            last = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
            if self._now() - seconds(last) > _EVENT_TTL:
                await self._delete("events", event)

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

_OWNED = (
    "replicasets.apps",
    "pods",
    "persistentvolumeclaims",
    "jobs.batch",
    "controllerrevisions.apps",
    "endpointslices.discovery.k8s.io",
    "leases.coordination.k8s.io",
)
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
_EVENT_PERIOD = 60.0
_PATHS = {kind.resource: kind for kind in KINDS}


class GarbageCollector:
    """One pass: orphans of deleted owners."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def sync(self) -> float:
        """Delete what is to be deleted; seconds until the next pass."""
        await self._collect_owned()
        return _PERIOD

    async def _collect_owned(self) -> None:
        owned = []
        for resource in _OWNED:
            found = await self._client.list(_PATHS[resource].path())
            for item in found["items"]:
                if item["metadata"].get("ownerReferences") and not item["metadata"].get("deletionTimestamp"):
                    owned.append((resource, item))
        if not owned:
            return
        alive = set()
        for resource in _OWNERS:
            found = await self._client.list(_PATHS[resource].path())
            alive |= {item["metadata"]["uid"] for item in found["items"]}
        for resource, item in owned:
            uids = {owner.get("uid") for owner in item["metadata"]["ownerReferences"]}
            # A mirror pod is owned by its node under the kubelet's name for it, a lease by the node's UID.
            known = all(_may_own(owner) for owner in item["metadata"]["ownerReferences"])
            if known and not uids & alive:
                await _delete(self._client, resource, item)


def _may_own(owner: Object) -> bool:
    return any(kind.kind == owner.get("kind") and kind.resource in _OWNERS for kind in KINDS)


async def _delete(client: Client, resource: str, item: Object, options: Object | None = None) -> None:
    metadata = item["metadata"]
    path = _PATHS[resource].path(metadata.get("namespace", ""), metadata["name"])
    try:
        await client.delete(path, {**(options or {}), "preconditions": {"uid": metadata["uid"]}})
    except APIError as error:
        if getattr(error, "code", 0) not in (404, 409):
            klog.error("garbagecollector.go:365", "Failed to delete object", err=error, object=path)


class PodGarbageCollector:
    """Deletes pods of nodes that are gone, and deleted pods that never had one."""

    def __init__(self, client: Client, nodes: Informer, pods: Informer, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._nodes = nodes
        self._pods = pods
        self._now = now
        self._missing: dict[str, float] = {}

    async def sync(self) -> float:
        """One pass; seconds until the next."""
        await self._collect_lost_pods()
        return _PERIOD

    async def _collect_lost_pods(self) -> None:
        now, bound = self._now(), set()
        for pod in list(self._pods.items.values()):
            node = (pod.get("spec") or {}).get("nodeName")
            deleted = pod["metadata"].get("deletionTimestamp")
            if not node:
                if deleted:
                    await _delete(self._client, "pods", pod, {"gracePeriodSeconds": 0})
                continue
            bound.add(node)
            if self._nodes.get("", node) is not None:
                self._missing.pop(node, None)
            elif now - self._missing.setdefault(node, now) >= _ORPHAN_SECONDS:
                klog.info("gc_controller.go:330", "PodGC is force deleting Pod", pod=pod["metadata"]["name"])
                await _delete(self._client, "pods", pod, {"gracePeriodSeconds": 0})
        self._missing = {node: since for node, since in self._missing.items() if node in bound}


class EventExpiry:
    """Deletes old events: the API server's work. `ttl` in seconds."""

    def __init__(self, client: Client, ttl: float, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._ttl = ttl
        self._now = now

    async def sync(self) -> float:
        """One pass; seconds until the next."""
        found = await self._client.list("/api/v1/events")
        for event in found["items"]:
            last = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
            if self._now() - seconds(last) > self._ttl:
                await _delete(self._client, "events", event)
        return _EVENT_PERIOD

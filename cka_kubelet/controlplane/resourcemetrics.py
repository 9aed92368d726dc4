"""metrics.k8s.io/v1beta1: what nodes and pods use, from the kubelets' summaries, as metrics-server serves it.

Kubelets are asked every 15 s, but only while somebody asks here.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from cka_kubelet.controlplane.kinds import METRICS, kind
from cka_kubelet.controlplane.registry import Registry
from cka_kubelet.controlplane.requestinfo import Query, RequestInfo, first
from cka_kubelet.kube import apistatus, labels
from cka_kubelet.kube.httpclient import TransportError

Object = dict[str, Any]
Fetch = Callable[[str, str], Awaitable[bytes]]
"""(node name, path) to the kubelet's answer. Raises TransportError or StatusError."""

PERIOD = 15.0
_LINGER = 120.0
_FIRST = 1.0


class Point(NamedTuple):
    """One measurement: seconds since the epoch, CPU time so far in nanoseconds, working set in bytes."""

    at: float
    cpu: int
    memory: int


Points = dict[tuple[str, ...], Point]
"""By (node,) or by (namespace, pod, container)."""


def points(node: str, summary: Mapping[str, Any], at: float) -> Points:
    """The measurements in one kubelet's summary, told at `at`. Pure."""
    found: Points = {}
    entries: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [((node,), summary.get("node") or {})]
    for pod in summary.get("pods") or ():
        ref = pod["podRef"]
        entries += [((ref["namespace"], ref["name"], each["name"]), each) for each in pod.get("containers") or ()]
    for key, entry in entries:
        cpu, memory = entry.get("cpu") or {}, entry.get("memory") or {}
        if "usageCoreNanoSeconds" in cpu and "workingSetBytes" in memory:
            found[key] = Point(at, int(cpu["usageCoreNanoSeconds"]), int(memory["workingSetBytes"]))
    return found


def usage(before: Point | None, now: Point) -> dict[str, str] | None:
    """cpu and memory between two measurements, None when that is not enough to tell. Pure."""
    if before is None or now.at <= before.at or now.cpu < before.cpu:
        return None
    return {"cpu": f"{int((now.cpu - before.cpu) / (now.at - before.at))}n", "memory": f"{now.memory // 1024}Ki"}


class ResourceMetrics:
    """Answers get and list of NodeMetrics and PodMetrics."""

    def __init__(self, registry: Registry, fetch: Fetch) -> None:
        self._registry = registry
        self._fetch = fetch
        self._before: Points = {}
        self._now: Points = {}
        self._asked = 0.0
        self._poll: asyncio.Task[None] | None = None

    async def handle(self, info: RequestInfo, query: Query) -> Object:
        """The object or list asked for. Raises StatusError."""
        served = next((each for each in METRICS if each.plural == info.plural), None)
        if served is None or info.verb not in ("get", "list") or info.version != served.version:
            raise apistatus.unknown_path()
        await self._follow()
        items = self._nodes(info, query) if info.plural == "nodes" else self._pods(info, query)
        if info.verb == "list":
            return {"kind": served.list_kind, "apiVersion": served.api_version, "metadata": {}, "items": items}
        if not items:
            raise apistatus.not_found(info.plural, info.name, served.group)
        return {"kind": served.kind, "apiVersion": served.api_version, **items[0]}

    async def _follow(self) -> None:
        self._asked = time.monotonic()
        if self._poll is None or self._poll.done():
            await self._measure()
            await asyncio.sleep(_FIRST)  # usage is a difference: the first answer needs two measurements
            await self._measure()
            self._poll = asyncio.create_task(self._keep_measuring())

    async def _keep_measuring(self) -> None:
        while time.monotonic() - self._asked < _LINGER:
            await asyncio.sleep(PERIOD)
            await self._measure()

    async def _measure(self) -> None:
        names = [node["metadata"]["name"] for node in self._registry.list(kind("nodes"), "", labels.parse(""), ())]
        found: Points = {}
        for part in await asyncio.gather(*(self._node(name) for name in names)):
            found |= part
        self._before, self._now = self._now, found

    async def _node(self, name: str) -> Points:
        with contextlib.suppress(apistatus.StatusError, TransportError, ValueError, KeyError):
            return points(name, json.loads(await self._fetch(name, "/stats/summary")), time.time())
        return {}

    def _selected(self, info: RequestInfo, query: Query) -> list[Object]:
        selector = labels.parse(first(query, "labelSelector"))
        found = self._registry.list(kind(info.plural), info.namespace, selector, ())
        return [each for each in found if not info.name or each["metadata"]["name"] == info.name]

    def _nodes(self, info: RequestInfo, query: Query) -> list[Object]:
        items = []
        for node in self._selected(info, query):
            key = (node["metadata"]["name"],)
            used = usage(self._before.get(key), self._now[key]) if key in self._now else None
            if used:
                items.append({**self._head(node, key), "usage": used})
        return items

    def _pods(self, info: RequestInfo, query: Query) -> list[Object]:
        items = []
        for pod in self._selected(info, query):
            whose = (pod["metadata"]["namespace"], pod["metadata"]["name"])
            keys = [key for key in self._now if key[:2] == whose and len(key) == 3]
            used = {key: usage(self._before.get(key), self._now[key]) for key in keys}
            if keys and all(used.values()):
                containers = [{"name": key[2], "usage": used[key]} for key in keys]
                items.append({**self._head(pod, keys[0]), "containers": containers})
        return items

    def _head(self, obj: Object, key: tuple[str, ...]) -> Object:
        own, now = obj["metadata"], self._now[key]
        metadata = {name: own[name] for name in ("name", "namespace", "labels") if own.get(name)}
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now.at))
        window = f"{now.at - self._before[key].at:.3f}".rstrip("0").rstrip(".")
        return {"metadata": {**metadata, "creationTimestamp": stamp}, "timestamp": stamp, "window": f"{window}s"}

"""The scheduler: binds pods that have no node, says why when it cannot, tries again when something changes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from cka_kubelet.controlplane.client import STRATEGIC_MERGE, Client
from cka_kubelet.controlplane.controllers import preemption, scheduling
from cka_kubelet.controlplane.controllers.informer import APIError, Informer, Informers, Key, Loop, each, key_of
from cka_kubelet.controlplane.controllers.podaffinity import Neighbours
from cka_kubelet.controlplane.controllers.preemption import Against
from cka_kubelet.controlplane.controllers.recorder import Recorder
from cka_kubelet.controlplane.controllers.volumebinder import VolumeBinder
from cka_kubelet.kube import klog
from cka_kubelet.kube.times import timestamp

Object = dict[str, Any]
Lead = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]

_NAME = "default-scheduler"
_AGAIN_SECONDS = 300.0  # upstream moves pods out of its unschedulable queue after five minutes


class Scheduler:
    """One pass over the pods that wait, oldest and most important first."""

    def __init__(
        self,
        client: Client,
        nodes: Informer,
        pods: Informer,
        volumes: VolumeBinder,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._nodes = nodes
        self._pods = pods
        self._volumes = volumes
        self._now = now
        self._recorder = Recorder(client, _NAME, now)
        self._told: dict[Key, tuple[str, float]] = {}
        self._assumed: dict[Key, str] = {}

    async def sync(self) -> float | None:
        """Schedule what can be scheduled; seconds until the next try."""
        waiting = [(key, pod) for key, pod in self._pods.items.items() if _waits(pod) and key not in self._assumed]
        waiting.sort(key=lambda item: (-int((item[1]["spec"]).get("priority", 0)), _created(item[1]), item[0]))
        try:
            await each((pod for _, pod in waiting), self._one)
        finally:
            self._forget()
        return _AGAIN_SECONDS if self._told else None

    def _forget(self) -> None:
        present = {key for key, pod in self._pods.items.items() if _waits(pod)}
        self._told = {key: told for key, told in self._told.items() if key in present}
        self._assumed = {key: node for key, node in self._assumed.items() if key in present}

    def _by_node(self) -> dict[str, list[Object]]:
        found: dict[str, list[Object]] = {}
        for key, pod in self._pods.items.items():
            node = (pod.get("spec") or {}).get("nodeName") or self._assumed.get(key)
            if node:
                found.setdefault(node, []).append(pod)
        return found

    async def _one(self, pod: Object) -> None:
        key = key_of(pod)
        volumes = self._volumes.view()
        problem = volumes.problem(pod)
        if problem:
            await self._refuse(key, pod, scheduling.failure_message({}, problem, len(self._nodes.items)))
            return
        by_node, reasons, fitting = self._by_node(), {}, []
        nodes = {name: node for (_, name), node in sorted(self._nodes.items.items())}

        def against(name: str, on_node: list[Object]) -> list[str]:
            node = nodes[name]
            return (
                scheduling.reasons_against(pod, node, on_node)
                or volumes.against(pod, node)
                or Neighbours(nodes, {**by_node, name: on_node}, scheduling.affinity_matches).against(pod, node)
            )

        for name, node in nodes.items():
            on_node = by_node.get(name, [])
            found = against(name, on_node)
            if found:
                reasons[name] = found
            else:
                fitting.append((-scheduling.score(pod, node, on_node), name))
        if fitting:
            chosen = min(fitting)[1]
            if await self._volumes.bind(pod, self._nodes.items["", chosen]):  # else once the volumes are bound
                await self._bind(key, pod, chosen)
        else:
            await self._no_room(key, pod, reasons, by_node, against)

    async def _no_room(
        self, key: Key, pod: Object, reasons: dict[str, list[str]], by_node: dict[str, list[Object]], against: Against
    ) -> None:
        """No node takes the pod as things are: push others out, or say why that does not help."""
        why_not = preemption.not_eligible(pod, by_node)
        if why_not:
            await self._refuse(key, pod, scheduling.failure_message(reasons, ineligible=why_not))
            return
        curable = [name for name, found in reasons.items() if scheduling.curable(found)]
        choice = preemption.choose(pod, curable, by_node, against)
        if choice is None:
            await self._refuse(key, pod, scheduling.failure_message(reasons))
            return
        for victim in choice.victims:
            await self._push_out(victim, pod, choice.node)
        await self._refuse(key, pod, scheduling.failure_message(reasons, preempted=True), choice.node)

    async def _push_out(self, victim: Object, pod: Object, node: str) -> None:
        if victim["metadata"].get("deletionTimestamp"):
            return
        namespace, name = key_of(victim)
        path, now = f"/api/v1/namespaces/{namespace}/pods/{name}", timestamp(self._now())
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{_NAME}: preempting to accommodate a higher priority pod",
            "lastTransitionTime": now,
        }
        try:
            await self._client.patch(f"{path}/status", {"status": {"conditions": [condition]}}, STRATEGIC_MERGE)
            await self._client.delete(path, {"preconditions": {"uid": victim["metadata"]["uid"]}})
        except APIError as error:
            if getattr(error, "code", 0) != 404:
                klog.error("executor.go:192", "Preempted pod cannot be deleted", err=error, pod=f"{namespace}/{name}")
            return
        message = f"Preempted by pod {pod['metadata']['uid']} on node {node}"
        await self._recorder.event(victim, "Pod", "Preempted", message)

    async def _bind(self, key: Key, pod: Object, node: str) -> None:
        namespace, name = key
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": pod["metadata"]["uid"]},
            "target": {"kind": "Node", "name": node},
        }
        try:
            await self._client.create(f"/api/v1/namespaces/{namespace}/pods/{name}/binding", binding)
        except APIError as error:
            klog.error("schedule_one.go:1074", "Failed to bind pod", err=error, pod=f"{namespace}/{name}")
            return
        self._assumed[key] = node
        message = f"Successfully assigned {namespace}/{name} to {node}"
        await self._recorder.event(pod, "Pod", "Scheduled", message)

    async def _refuse(self, key: Key, pod: Object, message: str, nominated: str = "") -> None:
        told, when = self._told.get(key, ("", 0.0))
        now = self._now()
        if told == message and now - when < _AGAIN_SECONDS - 1:
            return
        self._told[key] = (message, now)
        namespace, name = key
        await self._recorder.event(pod, "Pod", "FailedScheduling", message, warning=True)
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": timestamp(now),
        }
        status: Object = {"conditions": [condition]}
        if nominated:
            status["nominatedNodeName"] = nominated
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
        try:
            await self._client.patch(path, {"status": status}, STRATEGIC_MERGE)
        except APIError as error:
            klog.error("schedule_one.go:1138", "Error updating pod", err=error, pod=f"{namespace}/{name}")


def _waits(pod: Object) -> bool:
    spec, metadata = pod.get("spec") or {}, pod["metadata"]
    ours = spec.get("schedulerName", _NAME) == _NAME
    return (
        ours and not spec.get("nodeName") and not metadata.get("deletionTimestamp") and not spec.get("schedulingGates")
    )


def _created(pod: Object) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


async def run(client: Client, synced: Callable[[], None] = lambda: None, lead: Lead | None = None) -> None:
    """Schedule until cancelled. `synced` is called once every cache has its first list.

    `lead` is given what schedules, and awaited: it may wait for its turn first.
    """
    informers = Informers(client)
    storage = ("persistentvolumeclaims", "persistentvolumes", "storageclasses.storage.k8s.io")
    caches = [informers.get(resource) for resource in ("nodes", "pods", *storage)]
    nodes, pods, *volumes = caches
    scheduler = Scheduler(client, nodes, pods, VolumeBinder(client, *volumes))
    loop = Loop("scheduler", scheduler.sync)
    async with asyncio.TaskGroup() as group:
        informers.start(group)
        for cache in caches:
            await cache.synced.wait()
        synced()
        await (lead(lambda: loop.run(*caches)) if lead else loop.run(*caches))

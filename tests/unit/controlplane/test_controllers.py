"""Decisions of scheduler and controllers, and a few controllers against an API in memory."""

import asyncio
from typing import Any

import pytest

from cka_kubelet.controlplane.controllers import nodehealth, scheduling, tainteviction
from cka_kubelet.controlplane.controllers.informer import Informer, Loop, each
from cka_kubelet.controlplane.controllers.nodelifecycle import NodeIPAM, NodeLifecycle
from cka_kubelet.controlplane.controllers.scheduler import Scheduler
from cka_kubelet.controlplane.controllers.volumebinder import VolumeBinder
from cka_kubelet.kube.times import timestamp
from tests.unit.controlplane import api

T0 = 1_800_000_000.0
PODS = "/api/v1/namespaces/default/pods"
RESOURCES = {"cpu": "2", "memory": "4Gi", "pods": "110"}


def node(name: str = "node01", ready: str = "True", **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready, "lastHeartbeatTime": timestamp(T0)}]
    metadata = {"name": name, "creationTimestamp": timestamp(T0 - 100), "labels": {"disk": "ssd"}}
    return {"metadata": metadata, "spec": spec, "status": {"conditions": conditions, "allocatable": RESOURCES}}


def pod(requests: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "i", "resources": {"requests": requests or {}}}
    return {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [container], **spec}}


def lease(renewed: float) -> dict[str, Any]:
    return {"spec": {"renewTime": timestamp(renewed)}}


def test_a_lease_moved_into_the_past_ages_its_node() -> None:
    seen = nodehealth.observe(None, node(), lease(T0), T0)
    assert nodehealth.observe(seen, node(), lease(T0), T0 + 30).probe == T0
    assert nodehealth.observe(seen, node(), lease(T0 + 10), T0 + 10).probe == T0 + 10
    assert nodehealth.observe(seen, node(), lease(T0 - 3600), T0 + 10).probe == T0 - 3600
    # A node's clock that runs ahead gives it no credit.
    assert nodehealth.observe(seen, node(), lease(T0 + 3600), T0 + 10).probe == T0 + 10


def test_silence_turns_conditions_unknown_in_upstreams_words() -> None:
    found = {item["type"]: item for item in nodehealth.unknown_conditions(node(), timestamp(T0))}
    assert (found["Ready"]["reason"], found["Ready"]["message"]) == (
        "NodeStatusUnknown",
        "Kubelet stopped posting node status.",
    )
    assert found["DiskPressure"]["reason"] == "NodeStatusNeverUpdated"


@pytest.mark.parametrize(
    ("ready", "disrupted", "expected"),
    [
        ("True", False, []),
        ("False", False, [("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]),
        ("Unknown", False, [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]),
        ("Unknown", True, [("unreachable", "NoSchedule")]),
    ],
)
def test_taints_follow_the_state(ready: str, disrupted: bool, expected: list[tuple[str, str]]) -> None:
    foreign = {"key": "mine", "effect": "NoSchedule"}
    found = nodehealth.wanted_taints(node(ready=ready, taints=[foreign]), timestamp(T0), disrupted=disrupted)
    assert found[0] == foreign
    assert [(item["key"].removeprefix("node.kubernetes.io/"), item["effect"]) for item in found[1:]] == expected


def test_the_shortest_toleration_counts() -> None:
    taint = {"key": "k", "effect": "NoExecute"}
    for_ever, seconds = {"operator": "Exists"}, {"key": "k", "operator": "Exists", "tolerationSeconds": 300}
    assert tainteviction.patience([], [taint]) == 0
    assert tainteviction.patience([for_ever], [taint]) is None
    assert tainteviction.patience([for_ever, seconds], [taint]) == 300


@pytest.mark.parametrize(
    ("wanted", "where", "reason"),
    [
        (pod(), node(), []),
        (pod(), node(unschedulable=True), ["node(s) were unschedulable"]),
        (pod(), node(taints=[{"key": "a", "effect": "NoSchedule"}]), ["node(s) had untolerated taint(s)"]),
        (pod(), node(taints=[{"key": "a", "effect": "PreferNoSchedule"}]), []),
        (pod(nodeSelector={"disk": "hdd"}), node(), ["node(s) didn't match Pod's node affinity/selector"]),
        (pod({"cpu": "3", "memory": "8Gi"}), node(), ["Insufficient cpu", "Insufficient memory"]),
        (pod({"cpu": "2"}), node(), []),
    ],
)
def test_filters(wanted: dict[str, Any], where: dict[str, Any], reason: list[str]) -> None:
    assert scheduling.reasons_against(wanted, where, []) == reason


def test_why_nothing_fits_in_upstreams_words() -> None:
    reasons = {"a": ["node(s) had untolerated taint(s)"], "b": ["Insufficient cpu"]}
    assert scheduling.failure_message(reasons) == (
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). no new claims to deallocate, "
        "preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, "
        "1 Preemption is not helpful for scheduling."
    )


async def _list(informer: Informer, path: str, client: Any) -> None:
    found = await client.list(path)
    informer.items = {(o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in found["items"]}


def test_one_bad_object_stops_neither_the_others_nor_the_process() -> None:
    async def run() -> None:
        done = asyncio.Event()

        async def one(item: dict[str, Any]) -> None:
            if item["metadata"]["name"] == "bad":
                raise TypeError("hostile object")
            done.set()

        items = [{"metadata": {"name": name}} for name in ("bad", "good")]
        loop = asyncio.create_task(Loop("test", lambda: each(items, one)).run())
        async with asyncio.timeout(5):
            await done.wait()
        assert not loop.done()
        loop.cancel()

    asyncio.run(run())


def test_a_silent_node_is_marked_and_tainted_but_the_last_one_keeps_its_pods() -> None:
    now = [T0]
    server = api.resources()

    async def run() -> None:
        client = api.client(server)
        nodes, leases, pods = (Informer(client, path) for path in ("/api/v1/nodes", "leases", "pods"))
        for name in ("controlplane", "node01"):
            await client.create("/api/v1/nodes", node(name))
        lifecycle = NodeLifecycle(client, nodes, leases, pods, grace=50, period=5, now=lambda: now[0])
        await _list(nodes, "/api/v1/nodes", client)
        await lifecycle.sync()
        now[0] += 51
        fresh = await client.get("/api/v1/nodes/controlplane")
        fresh["status"]["conditions"][0] |= {"lastHeartbeatTime": timestamp(now[0])}
        await client.update("/api/v1/nodes/controlplane/status", fresh)
        for _ in range(2):  # status first, taints when the informer has seen it
            await _list(nodes, "/api/v1/nodes", client)
            await lifecycle.sync()
        silent = await client.get("/api/v1/nodes/node01")
        assert nodehealth.ready_status(silent) == "Unknown"
        assert [taint["effect"] for taint in silent["spec"]["taints"]] == ["NoSchedule", "NoExecute"]
        assert not (await client.get("/api/v1/nodes/controlplane"))["spec"].get("taints")
        now[0] += 60
        for _ in range(2):
            await _list(nodes, "/api/v1/nodes", client)
            await lifecycle.sync()
        last = await client.get("/api/v1/nodes/controlplane")
        assert [taint["effect"] for taint in last["spec"]["taints"]] == ["NoSchedule"]

    asyncio.run(run())
    api.at_once(server.registry.store.close())


def test_ranges_follow_the_numbers_of_nodes() -> None:
    server = api.resources()

    async def run() -> None:
        client = api.client(server)
        nodes = Informer(client, "/api/v1/nodes")
        for name in ("node01", "controlplane", "node02"):
            await client.create("/api/v1/nodes", {"metadata": {"name": name}})
        await _list(nodes, "/api/v1/nodes", client)
        await NodeIPAM(client, nodes, "10.244.0.0/16").sync()
        found = {o["metadata"]["name"]: o["spec"]["podCIDR"] for o in (await client.list("/api/v1/nodes"))["items"]}
        assert found == {"controlplane": "10.244.0.0/24", "node01": "10.244.1.0/24", "node02": "10.244.2.0/24"}

    asyncio.run(run())
    api.at_once(server.registry.store.close())


def test_the_scheduler_binds_and_tells() -> None:
    server = api.resources()

    async def run() -> None:
        client = api.client(server)
        await client.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        nodes, pods = Informer(client, "/api/v1/nodes"), Informer(client, "/api/v1/pods")
        await client.create("/api/v1/nodes", node())
        untainted = {"spec": {"taints": None}}  # admission taints every new node not-ready, as upstream's does
        await client.patch("/api/v1/nodes/node01", untainted, "application/merge-patch+json")
        large, small = pod({"cpu": "64"}), pod({"cpu": "1"})
        large["metadata"]["name"], small["metadata"]["name"] = "large", "small"
        for item in (large, small):
            await client.create(PODS, item)
        await _list(nodes, "/api/v1/nodes", client)
        await _list(pods, "/api/v1/pods", client)
        none = Informer(client, "/api/v1/persistentvolumes")
        await Scheduler(client, nodes, pods, VolumeBinder(client, none, none, none)).sync()
        assert (await client.get(f"{PODS}/small"))["spec"]["nodeName"] == "node01"
        refused = (await client.get(f"{PODS}/large"))["status"]["conditions"][0]
        assert (refused["reason"], refused["status"]) == ("Unschedulable", "False")
        assert refused["message"].startswith("0/1 nodes are available: 1 Insufficient cpu.")

    asyncio.run(run())
    api.at_once(server.registry.store.close())

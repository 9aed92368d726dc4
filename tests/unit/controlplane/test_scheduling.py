"""Pods near, far and spread, and those of higher priority."""

import asyncio
from typing import Any

import pytest

from cka_kubelet.controlplane.controllers import podaffinity, preemption, scheduling
from cka_kubelet.controlplane.controllers.informer import Informer
from cka_kubelet.controlplane.controllers.podaffinity import Neighbours
from cka_kubelet.controlplane.controllers.scheduler import Scheduler
from cka_kubelet.controlplane.controllers.volumebinder import VolumeBinder

from . import api

Object = dict[str, Any]

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_HOST = "kubernetes.io/hostname"


def node(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": {_HOST: name, **labels}}}


def pod(name: str, app: str = "web", **spec: Any) -> Object:
    metadata = {"name": name, "namespace": "default", "labels": {"app": app}, "uid": name}
    return {"metadata": metadata, "spec": {"containers": [], **spec}}


def term(app: str, key: str = _HOST, **more: Any) -> Object:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}, **more}


def affinity(which: str, *terms: Object) -> Object:
    return {"affinity": {which: {_REQUIRED: list(terms)}}}


def against(wanted: Object, by_node: dict[str, list[Object]], nodes: list[Object]) -> dict[str, list[str]]:
    named = {item["metadata"]["name"]: item for item in nodes}
    neighbours = Neighbours(named, by_node, scheduling.affinity_matches)
    return {name: neighbours.against(wanted, item) for name, item in named.items()}


A, B = node("a", zone="1"), node("b", zone="1")
C = node("c", zone="2")


def test_near() -> None:
    wanted = pod("p", **affinity("podAffinity", term("db")))
    placed = {"a": [pod("x", "db")]}
    assert against(wanted, placed, [A, B]) == {"a": [], "b": [podaffinity.NOT_NEAR]}
    by_zone = pod("p", **affinity("podAffinity", term("db", "zone")))
    assert against(by_zone, placed, [A, B, C]) == {"a": [], "b": [], "c": [podaffinity.NOT_NEAR]}


def test_the_first_of_a_group_may_be_anywhere() -> None:
    wanted = pod("p", "db", **affinity("podAffinity", term("db")))
    assert against(wanted, {}, [A, B]) == {"a": [], "b": []}
    unlabelled = {"metadata": {"name": "d"}}
    assert against(wanted, {}, [unlabelled]) == {"d": [podaffinity.NOT_NEAR]}


def test_far_counts_for_both_sides() -> None:
    shy = pod("p", **affinity("podAntiAffinity", term("web")))
    placed = {"a": [pod("x")]}
    assert against(shy, placed, [A, B]) == {"a": [podaffinity.NOT_FAR], "b": []}
    assert against(pod("x"), {"a": [shy]}, [A, B]) == {"a": [podaffinity.OTHERS_REFUSE], "b": []}


def test_namespaces_of_a_term() -> None:
    other = pod("x")
    other["metadata"]["namespace"] = "other"
    for more, found in (({}, []), ({"namespaces": ["other"]}, [podaffinity.NOT_FAR]),
                        ({"namespaceSelector": {}}, [podaffinity.NOT_FAR])):  # fmt: skip
        wanted = pod("p", **affinity("podAntiAffinity", term("web", **more)))
        assert against(wanted, {"a": [other]}, [A]) == {"a": found}


def test_spread() -> None:
    rule = {"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", **term("web", "zone")}
    wanted = pod("p", topologySpreadConstraints=[rule])
    placed = {"a": [pod("x")]}
    assert against(wanted, placed, [A, B, C]) == {
        "a": [podaffinity.NOT_SPREAD], "b": [podaffinity.NOT_SPREAD], "c": []
    }  # fmt: skip
    assert against(wanted, placed, [A, node("d")])["d"] == [podaffinity.NO_LABEL]
    only_one = {**wanted["spec"], "nodeSelector": {"zone": "1"}}
    assert against({**wanted, "spec": only_one}, placed, [A, B, C])["a"] == []  # the other zone does not count


@pytest.mark.parametrize(
    ("reason", "curable"),
    [
        ("Insufficient cpu", True),
        (podaffinity.NOT_FAR, True),
        (podaffinity.NOT_SPREAD, True),
        (podaffinity.NO_LABEL, False),
        (podaffinity.NOT_NEAR, False),
        ("node(s) had untolerated taint(s)", False),
    ],
)
def test_what_pushing_others_out_can_change(reason: str, curable: bool) -> None:
    assert scheduling.curable([reason]) is curable


def test_the_least_important_pods_are_pushed_out() -> None:
    def low(name: str, priority: int) -> Object:
        return pod(name, priority=priority)

    def room_for_two(_name: str, present: list[Object]) -> list[str]:
        return [] if len(present) < 2 else ["Insufficient cpu"]

    by_node = {"a": [low("a1", 5), low("a2", 1)], "b": [low("b1", 3), low("b2", 3)], "c": [low("c1", 99)]}
    choice = preemption.choose(pod("p", priority=10), ["a", "b", "c"], by_node, room_for_two)
    assert choice is not None
    assert (choice.node, [item["metadata"]["name"] for item in choice.victims]) == ("a", ["a2"])
    assert preemption.choose(pod("p", priority=1), ["a"], {"a": [low("a1", 5), low("a2", 5)]}, room_for_two) is None


def test_who_may_not_preempt() -> None:
    assert preemption.not_eligible(pod("p"), {}) is None
    never = pod("p", preemptionPolicy="Never")
    assert preemption.not_eligible(never, {}) == "not eligible due to preemptionPolicy=Never."
    going = pod("x", priority=1)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    waiting = {**pod("p", priority=5), "status": {"nominatedNodeName": "a"}}
    told = "not eligible due to a terminating pod on the nominated node."
    assert preemption.not_eligible(waiting, {"a": [going]}) == told


def test_the_words_of_a_preemption() -> None:
    reasons = {"a": ["Insufficient cpu"], "b": ["node(s) were unschedulable"]}
    told = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable."
    assert scheduling.failure_message(reasons, preempted=True) == told
    why = "not eligible due to preemptionPolicy=Never."
    assert scheduling.failure_message(reasons, ineligible=why) == (
        f"{told} no new claims to deallocate, preemption: {why}"
    )


def test_a_pod_of_higher_priority_gets_its_place() -> None:
    server = api.resources()
    path = "/api/v1/namespaces/default/pods"

    async def run() -> None:
        client = api.client(server)
        await client.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        await client.create("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "high"}, "value": 1000})
        status = {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "10"}}
        await client.create("/api/v1/nodes", {**node("a"), "status": status})
        await client.patch("/api/v1/nodes/a", {"spec": {"taints": None}}, "application/merge-patch+json")
        await client.patch("/api/v1/nodes/a/status", {"status": status}, "application/merge-patch+json")
        box = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "1500m"}}}
        nodes, pods = Informer(client, "/api/v1/nodes"), Informer(client, "/api/v1/pods")
        none = Informer(client, "/api/v1/persistentvolumes")
        scheduler = Scheduler(client, nodes, pods, VolumeBinder(client, none, none, none))

        async def turn() -> None:
            for informer, where in ((nodes, "/api/v1/nodes"), (pods, "/api/v1/pods")):
                found = (await client.list(where))["items"]
                informer.items = {(o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in found}
            await scheduler.sync()

        await client.create(path, {"metadata": {"name": "low"}, "spec": {"containers": [box]}})
        await turn()
        high = {"metadata": {"name": "high"}, "spec": {"containers": [box], "priorityClassName": "high"}}
        await client.create(path, high)
        await turn()
        victim, waiting = await client.get(f"{path}/low"), await client.get(f"{path}/high")
        assert victim["metadata"]["deletionTimestamp"]
        assert victim["status"]["conditions"][-1]["reason"] == "PreemptionByScheduler"
        assert waiting["status"]["nominatedNodeName"] == "a"
        assert waiting["status"]["conditions"][0]["message"] == "0/1 nodes are available: 1 Insufficient cpu."
        events = {e["message"] for e in (await client.list("/api/v1/namespaces/default/events"))["items"]}
        assert f"Preempted by pod {waiting['metadata']['uid']} on node a" in events
        await client.delete(f"{path}/low", {"gracePeriodSeconds": 0})
        await turn()
        assert (await client.get(f"{path}/high"))["spec"]["nodeName"] == "a"

    asyncio.run(run())
    api.at_once(server.registry.store.close())

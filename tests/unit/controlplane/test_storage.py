"""Claims, volumes and classes: rules, binding, what the scheduler makes of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cka_kubelet.controlplane import storage, storagecolumns, strategies
from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers import scheduling
from cka_kubelet.controlplane.controllers import volumematching as matching
from cka_kubelet.controlplane.controllers.attachments import Attachments
from cka_kubelet.controlplane.controllers.ephemeralvolumes import EphemeralVolumes
from cka_kubelet.controlplane.controllers.garbage import GarbageCollector
from cka_kubelet.controlplane.controllers.informer import Informer
from cka_kubelet.controlplane.controllers.persistentvolumes import PersistentVolumes
from cka_kubelet.controlplane.controllers.volumebinder import VolumeBinder
from cka_kubelet.controlplane.kinds import kind
from cka_kubelet.kube.apistatus import StatusError
from tests.unit.controlplane import api

Object = dict[str, Any]
CLAIMS, VOLUMES = "/api/v1/namespaces/default/persistentvolumeclaims", "/api/v1/persistentvolumes"
CLASSES, PODS = "/apis/storage.k8s.io/v1/storageclasses", "/api/v1/namespaces/default/pods"
DRIVERS, ATTACHMENTS = "/apis/storage.k8s.io/v1/csidrivers", "/apis/storage.k8s.io/v1/volumeattachments"
NODE = {"metadata": {"name": "node01", "labels": {"kubernetes.io/hostname": "node01"}}}


def volume(name: str = "pv", size: str = "1Gi", **spec: Any) -> Object:
    body = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}, **spec}
    return {"metadata": {"name": name}, "spec": body}


def claim(size: str = "500Mi", **spec: Any) -> Object:
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {"metadata": {"name": "data", "namespace": "default", "uid": "u1"}, "spec": body}


def on(node: str) -> Object:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def available(item: Object) -> Object:
    return {**item, "status": {"phase": "Available"}}


class World:
    """An API in memory with the controller and the scheduler's binder beside it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.informers = [Informer(client, path) for path in (CLAIMS, VOLUMES, CLASSES, "/api/v1/pods")]
        claims, volumes, classes, _ = self.informers
        self.controller = PersistentVolumes(client, *self.informers)
        self.ephemeral = EphemeralVolumes(client, self.informers[-1], claims)
        self.garbage = GarbageCollector(client)
        self.binder = VolumeBinder(client, claims, volumes, classes)

    async def sync(self, times: int = 1) -> None:
        for _ in range(times):
            await self.look()
            for controller in (self.ephemeral, self.controller, self.garbage):
                await controller.sync()
        await self.look()

    async def look(self) -> None:
        for informer, path in zip(self.informers, (CLAIMS, VOLUMES, CLASSES, "/api/v1/pods"), strict=True):
            items = (await self.client.list(path))["items"]
            informer.items = {(i["metadata"].get("namespace", ""), i["metadata"]["name"]): i for i in items}

    async def phases(self) -> tuple[str, str]:
        found = [await self.client.get(f"{VOLUMES}/pv"), await self.client.get(f"{CLAIMS}/data")]
        return found[0]["status"]["phase"], found[1]["status"]["phase"]

    async def events(self) -> set[str]:
        return {e["message"] for e in (await self.client.list("/api/v1/namespaces/default/events"))["items"]}


def play(story: Callable[[World], Awaitable[None]]) -> None:
    server = api.resources()
    asyncio.run(story(World(api.client(server))))  # type: ignore[arg-type]  # an async function gives a coroutine
    api.at_once(server.registry.store.close())


def test_the_smallest_volume_that_suits_is_taken() -> None:
    volumes = [available(volume(n, s)) for n, s in (("big", "10Gi"), ("fits", "1Gi"), ("small", "100Mi"))]
    found = matching.best(claim(), volumes)
    assert found is not None
    assert found["metadata"]["name"] == "fits"
    reserved = available(volume("mine", "20Gi", claimRef={"namespace": "default", "name": "data"}))
    assert matching.best(claim(), [*volumes, reserved]) == reserved
    assert matching.best(claim(accessModes=["ReadWriteMany"]), volumes) is None
    assert matching.best(claim(selector={"matchLabels": {"disk": "ssd"}}), volumes) is None


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"storageClassName": "fast"}, "storageClassName does not match"),
        ({"accessModes": ["ReadWriteMany"]}, "incompatible accessMode"),
        ({"volumeMode": "Block"}, "incompatible volumeMode"),
        ({"resources": {"requests": {"storage": "2Gi"}}}, "requested PV is too small"),
    ],
)
def test_why_a_volume_does_not_suit(spec: Object, reason: str) -> None:
    assert matching.mismatch(volume(), claim(**spec)) == reason


def test_a_claim_binds_at_once_and_its_volume_is_released_with_it() -> None:
    async def story(world: World) -> None:
        await world.client.create(CLAIMS, claim())
        await world.sync()
        text = "no persistent volumes available for this claim and no storage class is set"
        assert text in await world.events()
        await world.client.create(VOLUMES, volume())
        await world.sync(2)
        assert await world.phases() == ("Bound", "Bound")
        bound = await world.client.get(f"{CLAIMS}/data")
        assert (bound["spec"]["volumeName"], bound["status"]["capacity"]) == ("pv", {"storage": "1Gi"})
        await world.client.delete(f"{CLAIMS}/data")
        await world.sync(2)
        assert (await world.client.get(f"{VOLUMES}/pv"))["status"]["phase"] == "Released"

    play(story)


def test_a_claim_in_use_is_not_removed() -> None:
    async def story(world: World) -> None:
        await world.client.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        await world.client.create(VOLUMES, volume())
        await world.client.create(CLAIMS, claim())
        used = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
        spec = {"nodeName": "node01", "containers": [{"name": "c", "image": "i"}], "volumes": [used]}
        await world.client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
        await world.sync(2)
        await world.client.delete(f"{CLAIMS}/data")
        await world.sync()
        assert (await world.client.get(f"{CLAIMS}/data"))["metadata"]["deletionTimestamp"]
        await world.client.delete(f"{PODS}/p", {"gracePeriodSeconds": 0})
        await world.sync()
        with pytest.raises(StatusError, match="not found"):
            await world.client.get(f"{CLAIMS}/data")

    play(story)


def test_waiting_for_the_first_consumer() -> None:
    async def story(world: World) -> None:
        provisioner = {"provisioner": matching.NO_PROVISIONER, "volumeBindingMode": "WaitForFirstConsumer"}
        await world.client.create(CLASSES, {"metadata": {"name": "local"}, **provisioner})
        await world.client.create(VOLUMES, volume(storageClassName="local", nodeAffinity=on("node01")))
        await world.client.create(CLAIMS, claim(storageClassName="local"))
        await world.sync()
        assert await world.phases() == ("Available", "Pending")
        assert "waiting for first consumer to be created before binding" in await world.events()
        used = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
        pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"volumes": [used]}}
        other = {"metadata": {"name": "node02", "labels": {"kubernetes.io/hostname": "node02"}}}
        view = world.binder.view()
        assert view.against(pod, other) == ["node(s) didn't find available persistent volumes to bind"]
        assert view.against(pod, NODE) == []
        assert not await world.binder.bind(pod, NODE)
        await world.sync(2)
        assert await world.phases() == ("Bound", "Bound")
        assert await world.binder.bind(pod, NODE)
        assert world.binder.view().against(pod, other) == ["node(s) didn't match PersistentVolume's node affinity"]

    play(story)


def test_a_claim_of_a_lost_volume() -> None:
    async def story(world: World) -> None:
        await world.client.create(VOLUMES, volume())
        await world.client.create(CLAIMS, claim())
        await world.sync(2)
        change = {"metadata": {"finalizers": []}}
        await world.client.patch(f"{VOLUMES}/pv", change, "application/merge-patch+json")
        await world.client.delete(f"{VOLUMES}/pv")
        await world.sync()
        assert (await world.client.get(f"{CLAIMS}/data"))["status"]["phase"] == "Lost"

    play(story)


def test_an_ephemeral_volume_brings_its_claim_and_takes_it_along() -> None:
    async def story(world: World) -> None:
        await world.client.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        scratch = {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": claim()["spec"]}}}
        spec = {"containers": [{"name": "c", "image": "i"}], "volumes": [scratch]}
        await world.client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
        await world.sync()
        made = await world.client.get(f"{CLAIMS}/p-scratch")
        assert made["metadata"]["ownerReferences"][0]["controller"] is True
        await world.client.delete(f"{PODS}/p")
        await world.sync(2)
        assert (await world.client.list(CLAIMS))["items"] == []

    play(story)


def test_the_schedulers_words() -> None:
    used = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"volumes": [used]}}
    view = matching.View({}, [], [])
    assert view.problem(pod) == 'persistentvolumeclaim "data" not found'
    text = scheduling.failure_message({}, view.problem(pod), 2)
    assert text.startswith('0/2 nodes are available: persistentvolumeclaim "data" not found.')
    assert text.endswith("preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.")
    pending = matching.View({("default", "data"): claim()}, [], [])
    assert pending.problem(pod) == "pod has unbound immediate PersistentVolumeClaims"


def test_the_default_class_serves_claims_that_name_none() -> None:
    default = {"metadata": {"name": "std", "creationTimestamp": "t", "annotations": {storage.DEFAULT_CLASS: "true"}}}
    fresh, chosen = claim(), claim(storageClassName="")
    for item in (fresh, chosen):
        storage.admit("persistentvolumeclaims", item, [default])
    assert (fresh["spec"]["storageClassName"], chosen["spec"]["storageClassName"]) == ("std", "")
    assert fresh["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    row = storagecolumns.storage_class({**default, "provisioner": "x"}, lambda _: "1s")
    assert row == ["std (default)", "x", "Delete", "Immediate", "false", "1s"]


def test_what_is_refused() -> None:
    assert storage.volume_problems(volume(hostPath=None, local={"path": "/x"}), None)[0].field == "spec.nodeAffinity"
    assert [c.field for c in storage.claim_problems(claim(accessModes=[]), None)] == ["spec.accessModes"]
    larger, moved = claim(size="2Gi"), claim(storageClassName="other")
    assert storage.claim_problems(larger, claim()) == []
    assert storage.claim_problems(moved, claim())[0].field == "spec"


def test_attaching_is_asked_for_and_reported() -> None:
    async def story(world: World) -> None:
        client, (claims, volumes, _, pods) = world.client, world.informers
        await client.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        await client.create("/api/v1/nodes", {"metadata": {"name": "node01"}})
        csi = {"driver": "disk.example.com", "volumeHandle": "vol-1"}
        await client.create(VOLUMES, volume(hostPath=None, csi=csi))
        await client.create(CLAIMS, claim())
        used = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
        spec = {"nodeName": "node01", "containers": [{"name": "c", "image": "i"}], "volumes": [used]}
        await client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
        await world.sync(2)
        clock = [1_800_000_000.0]
        nodes = Informer(client, "/api/v1/nodes")
        drivers, asked = Informer(client, DRIVERS), Informer(client, ATTACHMENTS)
        controller = Attachments(client, nodes, pods, claims, volumes, drivers, asked, lambda: clock[0])

        async def sync() -> Object:
            for informer, path in ((nodes, "/api/v1/nodes"), (asked, ATTACHMENTS)):
                items = (await client.list(path))["items"]
                informer.items = {("", i["metadata"]["name"]): i for i in items}
            await controller.sync()
            return await client.get("/api/v1/nodes/node01")

        await sync()
        made = (await client.list(ATTACHMENTS))["items"][0]
        assert (made["spec"]["attacher"], made["spec"]["nodeName"]) == ("disk.example.com", "node01")
        clock[0] += 121
        await sync()
        text = "timed out waiting for external-attacher of disk.example.com CSI driver to attach volume vol-1"
        assert f'AttachVolume.Attach failed for volume "pv" : {text}' in await world.events()
        path = f"{ATTACHMENTS}/{made['metadata']['name']}"
        await client.patch(f"{path}/status", {"status": {"attached": True}}, "application/merge-patch+json")
        node = await sync()
        unique = "kubernetes.io/csi/disk.example.com^vol-1"
        assert node["status"]["volumesAttached"] == [{"name": unique, "devicePath": ""}]
        assert 'AttachVolume.Attach succeeded for volume "pv"' in await world.events()
        await client.delete(f"{PODS}/p", {"gracePeriodSeconds": 0})
        await world.look()
        await sync()
        assert not (await sync())["status"].get("volumesAttached")
        assert (await client.list(ATTACHMENTS))["items"] == []

    play(story)


def test_what_is_immutable_stays() -> None:
    old = {"immutable": True, "data": {"a": "1"}}
    found = strategies.validate(kind("configmaps"), {"data": {"a": "2"}}, old)
    assert [cause.field for cause in found] == ["immutable", "data"]
    assert strategies.validate(kind("secrets"), {**old, "metadata": {"labels": {"x": "y"}}}, old) == []

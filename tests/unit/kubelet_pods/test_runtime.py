"""Whole syncs against a runtime in memory."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.env import References
from cka_kubelet.kubelet.pods.events import PodEvents
from cka_kubelet.kubelet.pods.images import ImageManager
from cka_kubelet.kubelet.pods.killer import Killer
from cka_kubelet.kubelet.pods.lifecycle import Hooks
from cka_kubelet.kubelet.pods.pleg import PLEG
from cka_kubelet.kubelet.pods.runtime import PodRuntime, SyncFailed
from cka_kubelet.kubelet.pods.runtime_reader import RuntimeReader
from cka_kubelet.kubelet.pods.sandboxes import Sandboxes
from cka_kubelet.kubelet.pods.settings import Settings
from cka_kubelet.kubelet.pods.starter import Starter, Surroundings
from cka_kubelet.kubelet.pods.worker import retry_delay
from tests.unit.kubelet_pods.fake_cri import FakeCRI
from tests.unit.kubelet_pods.test_actions import pod
from tests.unit.kubelet_pods.test_probes import Recorder


class World:
    """One pod's runtime with everything real but CRI."""

    def __init__(self, root: Path) -> None:
        self.clock = [1_795_230_000.0]
        self.recorder = Recorder()
        self.classes: list[dict[str, Any]] = []
        fake: Any = FakeCRI(self.clock)  # Any: the fake is no subclass of the client
        self.cri = fake

        def now() -> float:
            return self.clock[0]

        events = PodEvents(self.recorder)
        settings = Settings(
            "node01",
            root_dir=str(root),
            logs_root=str(root / "log"),
            container_links=str(root / "links"),
            resolv_conf="",
            cluster_dns=["10.96.0.10"],
        )
        hooks = Hooks(self.cri)
        self.killer = Killer(self.cri, hooks, events)

        def lookup(kind: str, name: str) -> dict[str, Any]:
            raise LookupError(f'{kind} "{name}" not found')

        async def surround(_pod: dict[str, Any], _container: dict[str, Any], _ips: list[str]) -> Surroundings:
            return Surroundings(References(lookup, {}, [], [], {}), {}, None)

        images = ImageManager(self.cri, events, now, serialize=True)
        starter = Starter(self.cri, settings, events, images, hooks, self.killer, surround, 2)
        self.runtime = PodRuntime(
            self.cri,
            events,
            Sandboxes(self.cri, settings, events, lambda _p: "/kubepods", lambda: self.classes),
            starter,
            self.killer,
            lambda _i: None,
            lambda _i: True,
            now,
            300,
        )
        self.changes: list[tuple[str, set[str]]] = []
        self.pleg = PLEG(RuntimeReader(self.cri), lambda u, d: self.changes.append((u, d)), now)
        (root / "pods" / "u").mkdir(parents=True)

    async def status(self) -> rs.PodStatus:
        await self.pleg.relist()
        return self.pleg.cache.get("u") or rs.PodStatus("u", "p", "t")

    async def sync(self, spec: dict[str, Any]) -> None:
        await self.runtime.sync(spec, await self.status())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_pod_starts_in_order_and_stays(world: World) -> None:
    await world.sync(pod())
    assert world.cri.calls == ["RunPodSandbox", "ImageStatus", "CreateContainer", "StartContainer"]
    assert [m.split(" ", 3)[3] for m in world.recorder.messages] == [
        'Container image "i:1" already present on machine and can be accessed by the pod',
        "Container created",
        "Container started",
    ]
    world.cri.calls.clear()
    await world.sync(pod())
    assert world.cri.calls == []


async def test_a_crash_is_restarted_at_once_then_backed_off(world: World) -> None:
    await world.sync(pod())
    world.cri.exit(world.cri.newest(), 3)
    await world.sync(pod())
    assert len(world.cri.containers) == 2
    world.cri.exit(world.cri.newest(), 3)
    with pytest.raises(SyncFailed) as caught:
        await world.sync(pod())
    text = "back-off 10s restarting failed container=c pod=p_t(u)"
    assert str(caught.value) == f'failed to "StartContainer" for "c" with CrashLoopBackOff: "{text}"'
    assert world.recorder.messages[-1].endswith("Back-off restarting failed container c in pod p_t(u)")
    assert caught.value.retry_at is not None
    assert retry_delay(caught.value.retry_at, world.clock[0], 60) == pytest.approx(10, abs=1)
    world.clock[0] += 11
    await world.sync(pod())
    assert len(world.cri.containers) == 3
    status = await world.status()
    assert [c.attempt for c in status.containers] == [2, 1, 0]


def test_a_failed_sync_is_tried_again_when_the_crash_may_start_else_after_ten_seconds() -> None:
    assert retry_delay(None, 1000, 60) == 10
    assert retry_delay(1040, 1000, 60) == 40
    assert retry_delay(1300, 1000, 60) == 60
    assert retry_delay(990, 1000, 60) == 0


async def test_a_missing_configmap_keeps_the_container_from_being_created(world: World) -> None:
    spec = pod()
    spec["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "absent"}}]
    with pytest.raises(SyncFailed):
        await world.sync(spec)
    failure = world.runtime.start_results["u", "c"]
    assert failure is not None
    assert (failure.reason, failure.message) == ("CreateContainerConfigError", 'configmap "absent" not found')
    assert "CreateContainer" not in world.cri.calls


async def test_a_sandbox_that_cannot_be_made_is_told(world: World) -> None:
    world.cri.fail["RunPodSandbox"] = RpcError("Unknown", "no network")
    with pytest.raises(SyncFailed) as caught:
        await world.sync(pod())
    reason = "rpc error: code = Unknown desc = no network"
    assert world.recorder.messages == [f"Warning FailedCreatePodSandBox None Failed to create pod sandbox: {reason}"]
    assert str(caught.value) == (
        'failed to "CreatePodSandbox" for "p_t(u)" with CreatePodSandboxError: '
        f'"Failed to create sandbox for pod \\"p_t(u)\\": {reason}"'
    )


async def test_a_runtime_class_names_the_handler(world: World) -> None:
    spec = pod()
    spec["spec"]["runtimeClassName"] = "fast"
    with pytest.raises(SyncFailed, match=r"runtimeclass\.node\.k8s\.io .*fast.* not found"):
        await world.sync(spec)
    assert world.recorder.messages[-1].endswith(
        'Failed to create pod sandbox: runtimeclass.node.k8s.io "fast" not found'
    )
    world.classes = [{"metadata": {"name": "slow"}, "handler": "x"}, {"metadata": {"name": "fast"}, "handler": "crun"}]
    await world.sync(spec)
    assert [s.runtime_handler for s in world.cri.sandboxes.values()] == ["crun"]


async def test_pulls_back_off(world: World) -> None:
    spec = pod()
    spec["spec"]["containers"][0].update(image="absent:1", imagePullPolicy="IfNotPresent")
    world.cri.fail["PullImage"] = RpcError("Unknown", "no route", bare=True)
    for expected in ("ErrImagePull", "ImagePullBackOff"):
        with pytest.raises(SyncFailed):
            await world.sync(spec)
        failure = world.runtime.start_results["u", "c"]
        assert failure is not None
        assert failure.reason == expected
    assert failure is not None
    assert failure.message == 'Back-off pulling image "absent:1": ErrImagePull: no route'
    del world.cri.fail["PullImage"]
    world.clock[0] += 10
    await world.sync(spec)
    assert world.runtime.start_results["u", "c"] is None


async def test_stopping_gives_every_container_its_grace(world: World) -> None:
    await world.sync(pod(names=("a", "b")))
    failures = await world.killer.pod(pod(names=("a", "b")), await world.status(), 0)
    assert failures == []
    assert world.cri.calls[-3:] == ["StopContainer 2", "StopContainer 2", "StopPodSandbox"]


async def test_sidecars_stop_last_and_in_reverse_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = pod(init=[{"name": n, "image": "i:1", "restartPolicy": "Always"} for n in ("one", "two")])
    order: list[str] = []
    hooks: list[str] = []
    all_hooked = asyncio.Event()
    for container in [*spec["spec"]["initContainers"], *spec["spec"]["containers"]]:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["true"]}}}
    for _ in range(3):
        await world.sync(spec)
    names = {c.id: c.name for c in (await world.status()).containers}
    stop = world.cri.stop_container

    async def exec_sync(container_id: str, command: list[str], timeout: int = 0) -> Any:
        hooks.append(names[container_id])
        if len(hooks) == 3:
            all_hooked.set()
        return pb.ExecSyncResponse()

    async def stop_container(container_id: str, grace: int) -> None:
        async with asyncio.timeout(5):  # the sidecars' hooks do not wait for the main container's end
            await all_hooked.wait()
        order.append(names[container_id])
        await stop(container_id, grace)

    monkeypatch.setattr(world.cri, "exec_sync", exec_sync, raising=False)
    monkeypatch.setattr(world.cri, "stop_container", stop_container)
    assert await world.killer.pod(spec, await world.status()) == []
    assert order == ["c", "two", "one"]


async def test_the_pleg_tells_changes_once(world: World) -> None:
    await world.sync(pod())
    await world.status()
    world.changes.clear()
    await world.status()
    assert world.changes == []
    dead = world.cri.newest()
    world.cri.exit(dead, 1)
    await world.status()
    assert world.changes == [("u", {dead})]


async def test_an_unhealthy_pleg_says_since_when(world: World) -> None:
    assert world.pleg.healthy() == "pleg has yet to be successful"
    await world.status()
    assert world.pleg.healthy() is None
    world.clock[0] += 193.5
    assert world.pleg.healthy() == "pleg was last seen active 3m13.5s ago; threshold is 3m0s"

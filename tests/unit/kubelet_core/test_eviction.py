import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.clock import FakeClock
from cka_kubelet.kube.quantity import parse
from cka_kubelet.kubelet import eviction, evictionrank, system
from cka_kubelet.kubelet.evictionrank import ContainerUsage, Observation, Usage
from cka_kubelet.kubelet.podusage import disk_usage
from cka_kubelet.kubelet.reserved import Threshold

_MEMORY = Threshold("memory.available", parse("100Mi"), 0.0, 0.0, "")


def test_a_threshold_is_met_below_its_value() -> None:
    assert eviction.exceeded(_MEMORY, Observation(99 << 20, 1 << 30), False)
    assert not eviction.exceeded(_MEMORY, Observation(100 << 20, 1 << 30), False)
    half = Threshold("nodefs.available", None, 0.5, 0.0, "")
    assert eviction.exceeded(half, Observation(49, 100), False)


def test_a_met_threshold_wants_its_minimum_reclaim_too() -> None:
    threshold = _MEMORY._replace(minimum_reclaim="10Mi")
    assert eviction.exceeded(threshold, Observation(105 << 20, 1 << 30), True)
    assert not eviction.exceeded(threshold, Observation(110 << 20, 1 << 30), True)


def _pod(name: str, memory: str = "", **spec: Any) -> dict[str, Any]:
    resources = {"requests": {"memory": memory}} if memory else {}
    metadata = {"name": name, "namespace": "t", "uid": name, "annotations": spec.pop("annotations", {})}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c", "resources": resources}], **spec}}


def _usage(memory: int, disk: int = 0, volumes: dict[str, int] | None = None) -> Usage:
    return Usage(memory << 20, disk << 20, 1, 1, (ContainerUsage("c", memory << 20, disk << 20),), volumes or {})


def test_the_message_names_containers_that_use_more_than_they_asked_for() -> None:
    seen = Observation(90 << 20, 1 << 30)
    start = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. "
    assert evictionrank.message("memory", _pod("p", "64Mi"), _usage(10), _MEMORY, seen) == start
    more = evictionrank.message("memory", _pod("p", "8Mi"), _usage(10), _MEMORY, seen)
    assert more == start + "Container c was using 10Mi, request is 8Mi, has larger consumption of memory. "


def test_a_percentage_is_a_quantity_in_the_message() -> None:
    threshold = Threshold("nodefs.available", None, 0.1, 0.0, "")
    assert str(evictionrank.limit(threshold, 1000)) == "100"


def test_pods_above_their_request_go_first_then_low_priority_then_the_biggest() -> None:
    pods = [_pod("within", "64Mi"), _pod("big"), _pod("bigger"), _pod("important", priority=5), _pod("unknown")]
    usages = {"within": _usage(50), "big": _usage(10), "bigger": _usage(20), "important": _usage(90)}
    order = [pod["metadata"]["name"] for pod in evictionrank.rank("memory", pods, usages)]
    assert order == ["unknown", "bigger", "big", "important", "within"]


def test_static_and_critical_pods_are_never_evicted() -> None:
    assert evictionrank.critical(_pod("static", annotations={"kubernetes.io/config.source": "file"}))
    assert evictionrank.critical(_pod("critical", priority=2_000_001_000))
    assert not evictionrank.critical(_pod("plain", annotations={"kubernetes.io/config.source": "api"}))


def test_a_pod_may_not_outgrow_its_own_storage_limits() -> None:
    pod = _pod("p", volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}])
    assert evictionrank.limits_storage(pod)
    text = 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '
    assert evictionrank.storage_excess(pod, _usage(1, volumes={"v": 2 << 20})) == text
    assert evictionrank.storage_excess(pod, _usage(1, volumes={"v": 1 << 20})) is None
    limited = _pod("q", containers=[{"name": "c", "resources": {"limits": {"ephemeral-storage": "2Mi"}}}])
    text = "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "
    assert evictionrank.storage_excess(limited, _usage(1, disk=3)) == text


def test_disk_usage_counts_a_hard_link_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 8192)
    before, inodes = disk_usage(str(tmp_path))
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert disk_usage(str(tmp_path)) == (before, inodes)
    assert inodes == 2
    assert disk_usage(str(tmp_path / "none")) == (0, 0)


class _Node:
    def __init__(self, threshold: Threshold, pods: list[dict[str, Any]] | None = None) -> None:
        self.clock = FakeClock()
        self.known = True
        self.dedicated = False
        self.asked, self.stops_after = 0, 2
        self.second = asyncio.Event()
        self.events: list[str] = []
        self.evicted: list[tuple[str, int]] = []
        self.pods = pods or []
        self.manager = eviction.EvictionManager(
            self.clock, [threshold], "/", 300.0,
            image_filesystem=self._filesystem, node_name="n", node_known=lambda: self.known,
            record=lambda reason, _message: self.events.append(reason),
            reclaim=self._reclaim, dedicated_images=lambda: self.dedicated, active_pods=lambda: list(self.pods),
            usages=self._usages, evict=self._evict, cleaned_up=self._cleaned_up, max_grace=60,
        )  # fmt: skip

    async def _filesystem(self) -> system.Filesystem | None:
        return None

    async def _usages(self, pods: Iterable[dict[str, Any]]) -> dict[str, Usage]:
        return {pod["metadata"]["uid"]: _usage(1, volumes={"v": 2 << 20}) for pod in pods}

    async def _reclaim(self) -> None:
        self.events.append("reclaimed")

    async def _evict(self, pod: dict[str, Any], _message: str, grace: int) -> None:
        self.evicted.append((pod["metadata"]["name"], grace))
        self.pods.remove(pod)
        if len(self.evicted) == 2:
            self.second.set()

    def _cleaned_up(self, _pod: dict[str, Any]) -> bool:
        self.asked += 1
        self.clock.sleep(10)
        return self.asked >= self.stops_after


_ALWAYS = Threshold("nodefs.available", None, 1.0, 0.0, "")


async def test_pressure_stays_for_the_transition_period(capfd: pytest.CaptureFixture[str]) -> None:
    node = _Node(_ALWAYS)
    assert not await node.manager.synchronize()
    assert node.manager.pressure() == {"DiskPressure"}
    assert node.events == ["EvictionThresholdMet", "reclaimed"]
    assert "eviction thresholds have been met, but no pods are active to evict" in capfd.readouterr().err
    node.clock.sleep(301)
    assert node.manager.pressure() == {"DiskPressure"}, "still met"


async def test_images_on_a_disk_of_their_own_are_not_removed_for_the_nodes() -> None:
    node = _Node(_ALWAYS)
    node.dedicated = True
    await node.manager.synchronize()
    assert node.events == ["EvictionThresholdMet"]


async def test_one_pod_goes_in_each_round_and_critical_ones_stay(capfd: pytest.CaptureFixture[str]) -> None:
    static = _pod("static", annotations={"kubernetes.io/config.source": "file"})
    node = _Node(_ALWAYS, [static, _pod("a"), _pod("b", priority=1)])
    assert await node.manager.synchronize()
    assert node.evicted == [("a", 1)]
    assert await node.manager.synchronize()
    assert not await node.manager.synchronize()
    assert node.evicted == [("a", 1), ("b", 1)]
    said = capfd.readouterr().err
    assert "cannot evict a critical pod" in said
    assert "unable to evict any pods from the node" in said


async def test_a_soft_threshold_waits_and_gives_the_pod_time() -> None:
    node = _Node(_ALWAYS._replace(grace=30.0), [_pod("a", terminationGracePeriodSeconds=20)])
    assert not await node.manager.synchronize()
    node.clock.sleep(31)
    assert await node.manager.synchronize()
    assert node.evicted == [("a", 20)]


async def test_a_full_empty_dir_costs_its_pod_without_any_pressure() -> None:
    node = _Node(
        _MEMORY._replace(quantity=parse("1")), [_pod("a", volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}])]
    )
    assert await node.manager.synchronize()
    assert node.evicted == [("a", 1)]
    assert node.events == []


async def test_no_stats_before_the_node_is_known(capfd: pytest.CaptureFixture[str]) -> None:
    node = _Node(_MEMORY)
    node.known = False
    await node.manager.synchronize()
    assert 'err="failed to get node info: node \\"n\\" not found"' in capfd.readouterr().err


@pytest.mark.parametrize(("stops_after", "end"), [(2, "pods successfully"), (9, "timed out waiting for pods to be")])
async def test_an_evicted_pod_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], stops_after: int, end: str
) -> None:
    monkeypatch.setattr(eviction, "_CLEANUP_PERIOD", 0.0)
    node = _Node(_ALWAYS, [_pod("a"), _pod("b")])
    node.stops_after = stops_after
    task = asyncio.create_task(node.manager.run())
    await node.second.wait()
    task.cancel()
    assert node.asked == min(stops_after, 3), "for ever is 30 s"
    said = capfd.readouterr().err
    assert said.index("pods evicted, waiting for pod to be cleaned up") < said.index(end)

from typing import Any

import pytest

from cka_kubelet.clock import FakeClock
from cka_kubelet.kube.quantity import parse
from cka_kubelet.kubelet import eviction, system
from cka_kubelet.kubelet.reserved import Threshold

_MEMORY = Threshold("memory.available", parse("100Mi"), 0.0, 0.0, "")


def test_a_threshold_is_met_below_its_value() -> None:
    assert eviction.exceeded(_MEMORY, eviction.Observation(99 << 20, 1 << 30), False)
    assert not eviction.exceeded(_MEMORY, eviction.Observation(100 << 20, 1 << 30), False)
    half = Threshold("nodefs.available", None, 0.5, 0.0, "")
    assert eviction.exceeded(half, eviction.Observation(49, 100), False)


def test_a_met_threshold_wants_its_minimum_reclaim_too() -> None:
    threshold = _MEMORY._replace(minimum_reclaim="10Mi")
    assert eviction.exceeded(threshold, eviction.Observation(105 << 20, 1 << 30), True)
    assert not eviction.exceeded(threshold, eviction.Observation(110 << 20, 1 << 30), True)


def test_the_message_of_an_evicted_pod() -> None:
    seen = eviction.Observation(90 << 20, 1 << 30)
    assert eviction.eviction_message("memory", _MEMORY, seen) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. "
    )


def test_static_and_critical_pods_are_never_evicted() -> None:
    def pod(name: str, **spec: Any) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "annotations": spec.pop("annotations", {})},
            "spec": {"containers": [{}], **spec},
        }

    pods = [
        pod("static", annotations={"kubernetes.io/config.source": "file"}),
        pod("critical", priority=2_000_001_000),
        pod("asks", containers=[{"resources": {"requests": {"cpu": "1"}}}]),
        pod("plain", priority=5),
    ]
    assert [item["metadata"]["name"] for item in eviction.rank(pods)] == ["plain", "asks"]


class _Node:
    def __init__(self, threshold: Threshold) -> None:
        self.clock = FakeClock()
        self.known = True
        self.events: list[str] = []
        self.manager = eviction.EvictionManager(
            self.clock, [threshold], "/", 300.0,
            image_filesystem=self._filesystem, node_name="n", node_known=lambda: self.known,
            record=lambda reason, _message: self.events.append(reason),
            reclaim=self._reclaim, active_pods=list, evict=self._evict,
        )  # fmt: skip

    async def _filesystem(self) -> system.Filesystem | None:
        return None

    async def _reclaim(self) -> None:
        self.events.append("reclaimed")

    async def _evict(self, _pod: eviction.Pod, _message: str) -> None:
        raise AssertionError("there is no pod")


async def test_pressure_stays_for_the_transition_period(capfd: pytest.CaptureFixture[str]) -> None:
    node = _Node(Threshold("nodefs.available", None, 1.0, 0.0, ""))
    await node.manager._synchronize()
    assert node.manager.pressure() == {"DiskPressure"}
    assert node.events == ["EvictionThresholdMet", "reclaimed"]
    assert "eviction thresholds have been met, but no pods are active to evict" in capfd.readouterr().err
    node.clock.sleep(301)
    assert node.manager.pressure() == {"DiskPressure"}, "still met"


async def test_no_stats_before_the_node_is_known(capfd: pytest.CaptureFixture[str]) -> None:
    node = _Node(_MEMORY)
    node.known = False
    await node.manager._synchronize()
    assert 'err="failed to get node info: node \\"n\\" not found"' in capfd.readouterr().err

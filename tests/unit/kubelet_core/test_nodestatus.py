from typing import Any

import pytest

from cka_kubelet.clock import FakeClock
from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.kube.quantity import Quantity
from cka_kubelet.kubelet import nodestatus
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.runtimestate import RuntimeState

_FULL = nodestatus.capacity(2, 1 << 30, 1 << 30, {}, 110, 0)


def test_a_new_pressure_condition_records_its_event() -> None:
    seen: list[str] = []
    condition = nodestatus.pressure_condition(nodestatus.PRESSURES[1], None, True, 0, seen.append)
    assert (condition["status"], condition["reason"], seen) == (
        "True",
        "KubeletHasDiskPressure",
        ["NodeHasDiskPressure"],
    )


def test_an_unchanged_condition_keeps_its_transition_time_and_stays_quiet() -> None:
    seen: list[str] = []
    old = nodestatus.pressure_condition(nodestatus.PRESSURES[0], None, False, 0, lambda _: None)
    new = nodestatus.pressure_condition(nodestatus.PRESSURES[0], old, False, 60, seen.append)
    assert (new["lastTransitionTime"], new["lastHeartbeatTime"]) == ("1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z")
    assert seen == []


def test_ready_records_only_changes() -> None:
    seen: list[str] = []
    first = nodestatus.ready_condition(None, "x", 0, seen.append)
    second = nodestatus.ready_condition(first, None, 1, seen.append)
    nodestatus.ready_condition(second, "container runtime is down", 2, seen.append)
    assert seen == ["NodeReady", "NodeNotReady"]


def test_one_problem_prints_bare_and_several_as_a_list() -> None:
    assert nodestatus.ready_message([], [], [], [], _FULL) is None
    assert nodestatus.ready_message(["a"], [], [], [], _FULL) == "a"
    assert nodestatus.ready_message(["a"], ["b"], [], [], _FULL) == "[a, b]"
    assert nodestatus.ready_message(
        [], [], [], [], {"cpu": Quantity(1), "memory": Quantity(1), "pods": Quantity(1)}
    ) == ("missing node capacity for resources: ephemeral-storage")


def test_heartbeats_alone_are_no_change() -> None:
    old = {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "a"}]}
    new = {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "b"}]}
    assert not nodestatus.changed(old, new)
    assert nodestatus.changed(old, {**new, "capacity": {"cpu": "2"}})


def test_conditions_keep_their_order_with_ready_last() -> None:
    fresh = [{"type": name} for name in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")]
    assert [item["type"] for item in nodestatus.merge_conditions([], fresh)] == [item["type"] for item in fresh]
    kept = nodestatus.merge_conditions([{"type": "Ready"}, {"type": "Foreign"}], fresh)
    assert [item["type"] for item in kept[:2]] == ["Ready", "Foreign"]


def test_a_changed_address_replaces_the_list() -> None:
    old = {"addresses": [{"type": "InternalIP", "address": "a"}], "conditions": []}
    new = {"addresses": [{"type": "InternalIP", "address": "b"}], "conditions": []}
    assert nodestatus.status_patch(old, new)["status"]["addresses"][-1] == {"$patch": "replace"}


def test_the_runtime_counts_as_down_after_thirty_seconds() -> None:
    clock = FakeClock()
    state = RuntimeState(clock)
    assert state.runtime_errors() == ["container runtime status check may not have completed yet"]
    assert state.network_errors() == ["network state unknown"]
    state.set_runtime_sync()
    clock.sleep(30)
    assert state.runtime_errors() == []
    clock.sleep(0.1)
    state.add_health_check("PLEG", lambda: "pleg has yet to be successful")
    assert state.runtime_errors() == ["container runtime is down", "PLEG is not healthy: pleg has yet to be successful"]


@pytest.mark.parametrize(
    ("config", "declared"),
    [
        ({}, ["GuaranteedQoSPodCPUResize"]),
        ({"cpuManagerPolicy": "static"}, []),
        ({"featureGates": {"NodeDeclaredFeatures": False}}, []),
    ],
)
def test_a_node_declares_only_what_it_can_do(config: dict[str, Any], declared: list[str]) -> None:
    assert nodestatus.declared_features(KubeletConfiguration(config)) == declared


def test_the_biggest_images_come_first_and_not_more_than_asked_for() -> None:
    images = [pb.Image(id=f"i{n}", size=n, repo_tags=[f"i:{n}"]) for n in (1, 3, 2)]
    assert [i["sizeBytes"] for i in nodestatus.image_list(images, 2)] == [3, 2]
    assert len(nodestatus.image_list(images, -1)) == 3

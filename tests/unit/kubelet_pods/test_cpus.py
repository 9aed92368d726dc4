"""The static CPU manager policy: who gets which CPUs."""

import json
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.kubelet.pods import cpus
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.cpus import CPUError, CPUManager, Keeper

# Two sockets of two cores of two threads; siblings are n and n+4.
_TOPOLOGY = {cpu: (cpu % 4 // 2, cpu % 4) for cpu in range(8)}


def guaranteed(uid: str, cpu: str, **init: str) -> dict[str, Any]:
    def container(name: str, amount: str) -> dict[str, Any]:
        amounts = {"cpu": amount, "memory": "1Mi"}
        return {"name": name, "resources": {"limits": amounts, "requests": amounts}}

    spec = {"containers": [container("c", cpu)], "initContainers": [container(n, a) for n, a in init.items()]}
    return {"metadata": {"uid": uid, "name": uid, "namespace": "t"}, "spec": spec}


def test_sets_as_text() -> None:
    assert cpus.parse("0-2,7\n") == {0, 1, 2, 7}
    assert cpus.show({7, 0, 1, 2}) == "0-2,7"
    assert (cpus.parse(""), cpus.show([])) == (set(), "")


def test_whole_sockets_then_whole_cores_then_threads() -> None:
    every = set(_TOPOLOGY)
    assert cpus.take(_TOPOLOGY, every, 4) == {0, 1, 4, 5}
    assert cpus.take(_TOPOLOGY, every, 2) == {0, 4}
    assert cpus.take(_TOPOLOGY, every - {0}, 3) == {1, 5, 4}
    with pytest.raises(CPUError, match="requested=9, available=8"):
        cpus.take(_TOPOLOGY, every, 9)


def test_a_guaranteed_container_has_its_cpus_alone_and_others_share_the_rest(tmp_path: Path) -> None:
    state = tmp_path / "cpu_manager_state"
    manager = CPUManager(state, _TOPOLOGY, {0, 4})
    assert manager.admit(guaranteed("a", "2")) is None
    assert manager.admit(guaranteed("half", "1500m")) is None
    assert (manager.affinity("a", "c"), manager.affinity("half", "c")) == ("1,5", "0,2-4,6-7")
    saved = json.loads(state.read_text())
    assert saved["entries"] == {"a": {"c": "1,5"}}
    assert saved["defaultCpuSet"] == "0,2-4,6-7"
    assert CPUManager(state, _TOPOLOGY, {0, 4}).affinity("a", "c") == "1,5"
    refused = manager.admit(guaranteed("b", "5"))
    assert refused is not None
    assert refused.message == (
        "Allocate failed due to not enough cpus available to satisfy request: requested=5, available=4, "
        "which is unexpected"
    )
    manager.forget("a")
    assert manager.affinity("x", "c") == "0-7"


def test_cpus_of_init_containers_are_used_again(tmp_path: Path) -> None:
    manager = CPUManager(tmp_path / "s", _TOPOLOGY, set())
    pod = guaranteed("a", "4", i="2")
    manager.allocate(pod)
    manager.allocate(pod)  # a kubelet that starts again changes nothing
    assert cpus.parse(manager.affinity("a", "i")) <= cpus.parse(manager.affinity("a", "c"))
    assert len(manager.shared()) == 4


async def test_running_containers_leave_what_was_given_away_once(tmp_path: Path) -> None:
    calls: list[tuple[str, str]] = []

    class Runtime:
        async def update_container_resources(self, container: str, limits: Any) -> None:
            calls.append((container, limits.cpuset_cpus))

    status = rs.PodStatus("old", "old", "t")
    status.containers = [rs.ContainerStatus(id="1", name="c", state=rs.RUNNING)]
    runtime: Any = Runtime()
    keeper = Keeper(tmp_path / "s", _TOPOLOGY, set(), runtime, {"old": status}, 10)
    await keeper.reconcile()
    keeper.allocate(guaranteed("a", "4"))
    await keeper.reconcile()
    await keeper.reconcile()
    assert calls == [("1", "0-7"), ("1", "2-3,6-7")]

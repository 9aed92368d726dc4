"""The tree of cgroups: names, limits as files and as unit properties."""

from pathlib import Path
from typing import Any, Self

import pytest

from cka_kubelet.kubelet.pods import cgroups
from cka_kubelet.kubelet.pods.cgroups import Cgroups, Limits
from cka_kubelet.kubelet.pods.systemd import Property, SystemdError
from tests.unit.kubelet_pods.test_actions import pod


def burstable(uid: str, cpu: str, limit: str = "") -> dict[str, Any]:
    made = pod()
    made["metadata"]["uid"] = uid
    resources: dict[str, Any] = {"requests": {"cpu": cpu}}
    if limit:
        resources["limits"] = {"cpu": limit, "memory": "64Mi"}
    made["spec"]["containers"][0]["resources"] = resources
    return made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    return tmp_path


def test_a_pods_cgroup_on_v2(tree: Path) -> None:
    groups = Cgroups("cgroupfs", 2, enabled=True, pids_limit=100, root=tree)
    groups.start(memory=1 << 30, milli_cpu=2000)
    one = burstable("u-1", "250m", "505m")
    groups.make_pod(one)
    directory = tree / "kubepods/burstable/podu-1"
    read = {name: (directory / name).read_text() for name in ("cpu.weight", "cpu.max", "memory.max", "pids.max")}
    assert read == {"cpu.weight": "10", "cpu.max": "50500 100000", "memory.max": str(64 << 20), "pids.max": "100"}
    assert (tree / "kubepods/memory.max").read_text() == str(1 << 30)
    assert (tree / "kubepods/besteffort/cpu.weight").read_text() == "1"
    assert "+memory" in (tree / "kubepods/cgroup.subtree_control").read_text()


def test_burstable_weighs_as_much_as_its_pods_even_those_found_at_the_start(tree: Path) -> None:
    Cgroups("cgroupfs", 2, enabled=True, root=tree).make_pod(burstable("u-1", "1"))
    restarted = Cgroups("cgroupfs", 2, enabled=True, root=tree)
    weight = tree / "kubepods/burstable/cpu.weight"
    for uid in ("u-1", "u-2"):
        assert not restarted.settled(burstable(uid, "1"))
        restarted.make_pod(burstable(uid, "1"))
        assert restarted.settled(burstable(uid, "1"))
    assert weight.read_text() == "79"  # 2048 shares
    restarted.remove_pod(burstable("u-2", "1"))
    assert weight.read_text() == "39"


def test_limits_as_unit_properties() -> None:
    limits = Limits(shares=102, quota=50000, memory=1 << 20, pids=7)
    assert cgroups.limit_properties(limits, v2=True) == [
        Property("MemoryMax", "t", 1 << 20),
        Property("CPUWeight", "t", 4),
        Property("CPUQuotaPeriodUSec", "t", 100000),
        Property("CPUQuotaPerSecUSec", "t", 500000),
        Property("TasksMax", "t", 7),
    ]
    assert cgroups.limit_properties(Limits(shares=2), v2=False) == [Property("CPUShares", "t", 2)]
    properties = {p.name: p.value for p in cgroups.unit_properties("a-b.slice", "a.slice", v2=False)}
    assert properties["Wants"] == ["a.slice"]
    assert properties["DefaultDependencies"] is False
    assert "BlockIOAccounting" in properties


def test_without_systemd_no_slice_can_be_made(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cka_kubelet.kubelet.pods.systemd.SOCKET", str(tree / "none"))
    groups = Cgroups("systemd", 2, enabled=True, root=tree)
    with pytest.raises(cgroups.CgroupError, match=r"failed to create container for \[kubepods burstable podu-1\] : "):
        groups.make_pod(burstable("u-1", "1"))


class _Systemd:
    """Records what each connection asks for; refuses to set what is in `refused`."""

    def __init__(self, refused: frozenset[str]) -> None:
        self.refused = refused
        self.connections: list[list[tuple[str, str]]] = []

    def __call__(self) -> Self:
        self.connections.append([])
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, unit: str, properties: list[Property]) -> None:
        self.connections[-1].append(("start", unit))

    def set(self, unit: str, properties: list[Property]) -> None:
        self.connections[-1].append(("set", unit))
        if unit in self.refused:
            raise SystemdError("org.freedesktop.DBus.Error.InvalidArgs", "no")


def test_a_slice_is_made_and_limited_over_one_connection(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = "kubepods-besteffort-podu_2.slice"
    systemd = _Systemd(frozenset({unit}))
    monkeypatch.setattr(cgroups, "Systemd", systemd)
    made = pod()
    made["metadata"]["uid"] = "u-2"
    Cgroups("systemd", 2, enabled=True, root=tree).make_pod(made)
    assert systemd.connections == [[("start", unit), ("set", unit)]]
    weight = tree / f"kubepods.slice/kubepods-besteffort.slice/{unit}/cpu.weight"
    assert weight.read_text() == "1"  # although systemd refused

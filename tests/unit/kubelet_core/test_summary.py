import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.manager import PodManager
from cka_kubelet.kubelet.server import groupsummary, podsummary, stats
from cka_kubelet.kubelet.server.cgroupstats import CgroupReader

_NET = "h\nh\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0\n  eth0: 10 1 2 0 0 0 0 0 30 1 4 0\n"
_FS = {"time": "t", "availableBytes": 90, "capacityBytes": 100, "usedBytes": 10, "inodes": 9, "inodesUsed": 1}
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def files(folder: str, **texts: str) -> None:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (tmp_path / folder / name.replace("__", ".")).write_text(text)

    return files


def _group(root: Path, version: int = 2) -> groupsummary.GroupSummary:
    return groupsummary.GroupSummary(CgroupReader(version, root), lambda _key, _now, nanoseconds: nanoseconds // 10)


def test_a_cgroup_with_a_limit_tells_what_is_left(tmp_path: Path, write: Write) -> None:
    write(
        "a", cpu__stat="usage_usec 1500000\n", memory__current="3000", memory__max="8192", memory__swap__current="64",
        memory__stat="anon 1000\ninactive_file 500\npgfault 7\npgmajfault 1\n",
        io__pressure="some avg10=1.50 avg60=0.00 avg300=0.00 total=25\nfull avg10=0.10 total=9\n",
    )  # fmt: skip
    found = _group(tmp_path).usage("/a", 0)
    assert (found["cpu"]["usageCoreNanoSeconds"], found["cpu"]["usageNanoCores"]) == (1_500_000_000, 150_000_000)
    memory = {k: v for k, v in found["memory"].items() if k not in ("time", "psi")}
    assert memory == {
        "availableBytes": 5692, "usageBytes": 3000, "workingSetBytes": 2500, "rssBytes": 1000, "pageFaults": 7,
        "majorPageFaults": 1,
    }  # fmt: skip
    assert found["io"]["psi"]["some"] == {"total": 25, "avg10": 1.5, "avg60": 0, "avg300": 0}
    assert found["io"]["psi"]["full"]["total"] == 9
    assert found["swap"]["swapUsageBytes"] == 64


def test_version_1_counts_own_faults_and_knows_no_pressure(tmp_path: Path, write: Write) -> None:
    write(
        "memory/a", memory__usage_in_bytes="3000", memory__limit_in_bytes=str((1 << 63) - 4096),
        memory__stat="pgfault 5\ntotal_pgfault 50\n",
    )  # fmt: skip
    write("cpuacct/a", cpuacct__usage="2000000000")
    found = _group(tmp_path, 1).usage("/a", 0)
    assert found["cpu"]["usageCoreNanoSeconds"] == 2_000_000_000
    assert found["memory"]["pageFaults"] == 5
    assert "availableBytes" not in found["memory"]
    assert found["cpu"]["psi"]["full"] == {"total": 0, "avg10": 0, "avg60": 0, "avg300": 0}


def test_a_service_without_cpu_accounting_is_measured_by_its_processes(tmp_path: Path, write: Write) -> None:
    write("memory/a", memory__usage_in_bytes="1")
    write("pids/a", cgroup__procs=f"{os.getpid()}\n")
    assert _group(tmp_path, 1).usage("/a", 0)["cpu"]["usageCoreNanoSeconds"] > 0
    stat = "7 (a ) b) S 1 1 1 0 -1 0 0 0 0 0 3 4 5 6 20 0"
    assert groupsummary.process_nanoseconds(stat) == 18 * 10**9 // os.sysconf("SC_CLK_TCK")
    assert groupsummary.process_nanoseconds("") == 0


def test_system_containers_are_those_with_a_cgroup(tmp_path: Path, write: Write) -> None:
    write("kubepods.slice", memory__current="1", memory__max="100")
    write("kubelet.slice", memory__current="1", memory__max="max")
    found = {c["name"]: c for c in _group(tmp_path).system_containers("/kubepods.slice", "/kubelet.slice", 0)}
    assert sorted(found) == ["kubelet", "pods"]
    assert found["pods"]["memory"]["availableBytes"] == 99
    assert "availableBytes" not in found["kubelet"]["memory"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("0::/system.slice/kubelet.service\n", "/system.slice/kubelet.service"),
        ("9:memory:/m\n1:name=systemd:/s\n0::/u\n", "/s"),
        ("1:name=systemd:/\n", ""),
        ("", ""),
    ],
)
def test_the_kubelets_own_cgroup(text: str, path: str) -> None:
    assert groupsummary.own_cgroup(text) == path


def test_a_pods_network_is_eth0_first() -> None:
    found = podsummary.network(_NET, "t")
    eth0 = {"name": "eth0", "rxBytes": 10, "rxErrors": 2, "txBytes": 30, "txErrors": 4}
    assert found == {"time": "t", **eth0, "interfaces": [eth0]}


def test_swap_of_the_node() -> None:
    assert stats.swap("SwapTotal: 10 kB\nSwapFree: 4 kB\n") == {"swapAvailableBytes": 4096, "swapUsageBytes": 6144}


def _item() -> Any:
    item = pb.ContainerStats()
    item.cpu.usage_core_nano_seconds.value = 70
    item.memory.working_set_bytes.value = 20
    item.writable_layer.timestamp = 1
    item.writable_layer.used_bytes.value, item.writable_layer.inodes_used.value = 40, 3
    return item


def _manager(parent: str, pod: dict[str, Any], status: rs.PodStatus, volumes: dict[str, Any]) -> PodManager:
    fake = SimpleNamespace(
        pleg=SimpleNamespace(cache={"u": status}),
        workers={"u": SimpleNamespace(pod=pod)},
        cgroups=SimpleNamespace(parent=lambda _pod: parent),
        volumes=SimpleNamespace(mounted=lambda _uid: volumes),
    )
    return cast("PodManager", fake)


def _status() -> rs.PodStatus:
    status = rs.PodStatus("u", "p", "ns")
    status.containers = [rs.ContainerStatus(id="abc", name="c", state=rs.RUNNING, started_at=10**9)]
    return status


def test_a_pod_with_its_cgroup_and_volumes(tmp_path: Path, write: Write) -> None:
    for name in ("podu", "podu/cri-containerd-abc.scope"):
        write(f"cg/{name}", memory__current="50", memory__max="80", cpu__stat="usage_usec 1\n", cgroup__procs="")
    write("cg/podu/cri-containerd-abc.scope", cgroup__procs="999999999\n")
    write("root/pods/u/volumes/kubernetes.io~empty-dir/e", file="x" * 5000)
    write("claimed")
    volumes = [{"name": "e", "emptyDir": {}}, {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    pod = {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"volumes": volumes}}
    manager = _manager("/podu", pod, _status(), {"v": SimpleNamespace(path=str(tmp_path / "claimed"))})
    root, logs = str(tmp_path / "root"), str(tmp_path / "logs")
    [found] = podsummary.PodSummary(_group(tmp_path / "cg"), manager, root, logs, _FS, _FS).all({"abc": _item()})
    assert found["podRef"] == {"name": "p", "namespace": "ns", "uid": "u"}
    assert (found["memory"]["availableBytes"], found["process_stats"]) == (30, {"process_count": 1})
    assert [v["name"] for v in found["volume"]] == ["e", "v"]
    assert found["volume"][0]["usedBytes"] >= 5000
    assert found["volume"][1]["pvcRef"] == {"name": "data", "namespace": "ns"}
    [container] = found["containers"]
    assert container["memory"]["availableBytes"] == 30
    assert container["rootfs"] == {**_FS, "time": container["rootfs"]["time"], "usedBytes": 40, "inodesUsed": 3}
    assert found["ephemeral-storage"]["usedBytes"] == 40 + found["volume"][0]["usedBytes"]


def test_a_pod_without_a_cgroup_is_the_sum_of_its_containers(tmp_path: Path) -> None:
    pod = {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {}}
    summary = podsummary.PodSummary(_group(tmp_path), _manager("", pod, _status(), {}), "/none", "/none", _FS, _FS)
    [found] = summary.all({"abc": _item()})
    assert (found["cpu"]["usageCoreNanoSeconds"], found["memory"]["workingSetBytes"]) == (70, 20)
    assert "process_stats" not in found
    assert summary.all({}) == []

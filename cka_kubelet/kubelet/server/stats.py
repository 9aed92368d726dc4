"""/stats/summary: real figures of the node from /proc and cgroups, of pods and containers from CRI."""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.kubelet import system
from cka_kubelet.kubelet.pods.manager import PodManager
from cka_kubelet.kubelet.pods.status import timestamp

if TYPE_CHECKING:
    from cka_kubelet.kubelet.server.groupsummary import GroupSummary

Stats = dict[str, Any]


class NodeCPU:
    """Turns the node's ever growing CPU time into a rate between two calls."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        self._rate = 0

    def sample(self, now: float, nanoseconds: int) -> int:
        """Nano-cores used since the last sample that is at least a second old."""
        if self._last is None:
            self._last = (now, nanoseconds)
        elif now - self._last[0] >= 1:
            self._rate = max(0, int((nanoseconds - self._last[1]) / (now - self._last[0])))
            self._last = (now, nanoseconds)
        return self._rate


def cpu_nanoseconds(stat: str) -> int:
    """Time that all CPUs were busy, from /proc/stat. Pure."""
    fields = [int(f) for f in stat.splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) * 10**9 // os.sysconf("SC_CLK_TCK")


def memory(meminfo: str) -> Stats:
    """The node's memory from /proc/meminfo; working set is total less available. Pure."""
    values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in meminfo.splitlines() if ":" in line}
    total, available = values["MemTotal"], values.get("MemAvailable", values["MemFree"])
    return {
        "availableBytes": available,
        "usageBytes": total - values["MemFree"],
        "workingSetBytes": total - available,
        "rssBytes": values.get("AnonPages", 0),
    }


def swap(meminfo: str) -> Stats:
    """The node's swap from /proc/meminfo. Pure."""
    values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in meminfo.splitlines() if ":" in line}
    total, free = values.get("SwapTotal", 0), values.get("SwapFree", 0)
    return {"swapAvailableBytes": free, "swapUsageBytes": total - free}


def filesystem(path: str, now: str) -> Stats:
    """The file system that holds `path`; {} when there is none."""
    try:
        found = os.statvfs(path)
    except OSError:
        return {}
    return {
        "time": now,
        "availableBytes": found.f_bavail * found.f_frsize,
        "capacityBytes": found.f_blocks * found.f_frsize,
        "usedBytes": (found.f_blocks - found.f_bfree) * found.f_frsize,
        "inodesFree": found.f_ffree,
        "inodes": found.f_files,
        "inodesUsed": found.f_files - found.f_ffree,
    }


def interfaces(text: str) -> list[Stats]:
    """Traffic of each interface but lo, from /proc/net/dev. Pure."""
    result = []
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        fields = rest.split()
        if name.strip() == "lo" or len(fields) < 11 or name.strip().startswith("veth"):
            continue
        result.append(
            {
                "name": name.strip(),
                "rxBytes": int(fields[0]),
                "rxErrors": int(fields[2]),
                "txBytes": int(fields[8]),
                "txErrors": int(fields[10]),
            }
        )
    return result


class Summary:
    """Collects the summary. `kubelet_cgroup` is the configured one, or ""."""

    def __init__(
        self, cri: CRIClient, node_name: str, root_dir: str, pods: PodManager, logs_root: str,
        cgroup_version: int = 1, kubelet_cgroup: str = "",
    ) -> None:  # fmt: skip
        self._cri = cri
        self._node = node_name
        self._root = root_dir.rstrip("/")
        self._pods = pods
        self._logs = logs_root
        self._version = cgroup_version
        self._kubelet = kubelet_cgroup
        self._cpu = NodeCPU()
        self._rates: dict[str, NodeCPU] = {}

    async def containers(self) -> list[Any]:
        """CRI's statistics of all running containers. Raises RpcError."""
        return list(await self._cri.list_container_stats(pb.ContainerStatsFilter()))

    async def collect(self) -> Stats:
        """The whole summary. Raises RpcError."""
        from cka_kubelet.kubelet.server.cgroupstats import CgroupReader  # only a monitored node needs these three
        from cka_kubelet.kubelet.server.groupsummary import GroupSummary
        from cka_kubelet.kubelet.server.podsummary import PodSummary

        items = {item.attributes.id: item for item in await self.containers()}
        image_fs = await self._image_fs()
        fresh: dict[str, NodeCPU] = {}

        def rate(key: str, now: float, nanoseconds: int) -> int:
            fresh[key] = self._rates.get(key) or NodeCPU()
            return fresh[key].sample(now, nanoseconds)

        def build() -> Stats:
            groups = GroupSummary(CgroupReader(self._version), rate)
            node = self._node_stats(image_fs, groups)
            pods = PodSummary(groups, self._pods, self._root, self._logs, node["fs"], node["runtime"]["imageFs"])
            return {"node": node, "pods": pods.all(items)}

        result = await asyncio.to_thread(build)
        self._rates = fresh
        return result

    async def filesystems(self) -> dict[str, system.Filesystem]:
        """The kubelet's and the images' file systems by device. Raises RpcError."""
        mountpoint, _, _ = await self._image_fs()
        mounts = [line.split() for line in system.read_text("/proc/self/mounts").splitlines()]
        devices = {fields[1]: fields[0] for fields in mounts if len(fields) > 1}
        found = {}
        for path in (self._root, mountpoint):
            point = path
            while point not in devices and point != "/":
                point = os.path.dirname(point) or "/"  # noqa: PTH120  # plain text work
            with contextlib.suppress(OSError):
                found[devices.get(point, point)] = system.filesystem(path)
        return found

    async def _image_fs(self) -> tuple[str, int, int]:
        reply = await self._cri.image_fs_info()
        for entry in reply.image_filesystems:
            return entry.fs_id.mountpoint, entry.used_bytes.value, entry.inodes_used.value
        return "", 0, 0

    def _node_stats(self, image_fs: tuple[str, int, int], groups: "GroupSummary") -> Stats:
        moment = time.time()
        now = timestamp(moment)
        stat = Path("/proc/stat").read_text()
        busy = cpu_nanoseconds(stat)
        boot = next((float(line.split()[1]) for line in stat.splitlines() if line.startswith("btime")), moment)
        images = filesystem(image_fs[0], now) if image_fs[0] else {}
        if images:
            images.update(usedBytes=image_fs[1], inodesUsed=image_fs[2])
        meminfo, pressure = Path("/proc/meminfo").read_text(), groups.pressure("/")
        max_pid, processes = system.processes()
        return {
            "nodeName": self._node,
            "systemContainers": groups.system_containers(self._pods.cgroups.top, self._kubelet, moment),
            "startTime": timestamp(boot),
            "cpu": {
                "time": now,
                "usageNanoCores": self._cpu.sample(moment, busy),
                "usageCoreNanoSeconds": busy,
                "psi": pressure["cpu"],
            },
            "memory": {"time": now, **memory(meminfo), **groups.faults("/"), "psi": pressure["memory"]},
            "io": {"time": now, "psi": pressure["io"]},
            "network": {"time": now, "name": "", "interfaces": interfaces(Path("/proc/net/dev").read_text())},
            "fs": filesystem(self._root, now),
            "runtime": {"imageFs": images, "containerFs": images},
            "rlimit": {"time": now, "maxpid": max_pid, "curproc": processes},
            "swap": {"time": now, **swap(meminfo)},
        }

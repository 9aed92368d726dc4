"""/stats/summary: real figures of the node from /proc and cgroups, of pods and containers from CRI."""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Any

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.kubelet import system
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.status import timestamp
from cka_kubelet.kubelet.podusage import disk_usage

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
            self._rate = int((nanoseconds - self._last[1]) / (now - self._last[0]))
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


def container_stats(item: Any, started_at: float) -> Stats:
    """One container's entry from CRI's ContainerStats. Pure."""
    cpu_time, memory_time = item.cpu.timestamp / 1e9, item.memory.timestamp / 1e9
    working_set = item.memory.working_set_bytes.value
    result: Stats = {
        "name": item.attributes.labels.get(rs.L_CONTAINER, item.attributes.metadata.name),
        "startTime": timestamp(started_at),
        "cpu": {
            "time": timestamp(cpu_time),
            "usageNanoCores": item.cpu.usage_nano_cores.value,
            "usageCoreNanoSeconds": item.cpu.usage_core_nano_seconds.value,
        },
        "memory": {
            "time": timestamp(memory_time),
            "usageBytes": item.memory.usage_bytes.value or working_set,
            "workingSetBytes": working_set,
            "rssBytes": item.memory.rss_bytes.value,
            "pageFaults": item.memory.page_faults.value,
            "majorPageFaults": item.memory.major_page_faults.value,
        },
    }
    if item.HasField("writable_layer") and item.writable_layer.timestamp:
        layer = item.writable_layer
        result["rootfs"] = {
            "time": timestamp(layer.timestamp / 1e9),
            "usedBytes": layer.used_bytes.value,
            "inodesUsed": layer.inodes_used.value,
        }
    if item.HasField("swap"):
        result["swap"] = {"time": timestamp(memory_time), "swapUsageBytes": item.swap.swap_usage_bytes.value}
    return result


class Summary:
    """Collects the summary. `pods()` gives the runtime statuses by uid."""

    def __init__(self, cri: CRIClient, node_name: str, root_dir: str, pods: Any, logs_root: str) -> None:
        self._cri = cri
        self._node = node_name
        self._root = root_dir
        self._pods = pods
        self._logs = logs_root
        self._cpu = NodeCPU()

    async def containers(self) -> list[Any]:
        """CRI's statistics of all running containers. Raises RpcError."""
        return list(await self._cri.list_container_stats(pb.ContainerStatsFilter()))

    async def collect(self) -> Stats:
        """The whole summary. Raises RpcError."""
        items = await self.containers()
        image_fs = await self._image_fs()
        node = await asyncio.to_thread(self._node_stats, image_fs)
        return {"node": node, "pods": await asyncio.to_thread(self._pod_stats, items, node["fs"])}

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

    def _node_stats(self, image_fs: tuple[str, int, int]) -> Stats:
        moment = time.time()
        now = timestamp(moment)
        stat = Path("/proc/stat").read_text()
        busy = cpu_nanoseconds(stat)
        boot = next((float(line.split()[1]) for line in stat.splitlines() if line.startswith("btime")), moment)
        images = filesystem(image_fs[0], now) if image_fs[0] else {}
        if images:
            images.update(usedBytes=image_fs[1], inodesUsed=image_fs[2])
        max_pid = int(Path("/proc/sys/kernel/pid_max").read_text())
        processes = sum(1 for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return {
            "nodeName": self._node,
            "startTime": timestamp(boot),
            "cpu": {"time": now, "usageNanoCores": self._cpu.sample(moment, busy), "usageCoreNanoSeconds": busy},
            "memory": {"time": now, **memory(Path("/proc/meminfo").read_text())},
            "network": {"time": now, "name": "", "interfaces": interfaces(Path("/proc/net/dev").read_text())},
            "fs": filesystem(self._root, now),
            "runtime": {"imageFs": images, "containerFs": images},
            "rlimit": {"time": now, "maxpid": max_pid, "curproc": processes},
        }

    def _pod_stats(self, items: list[Any], node_fs: Stats) -> list[Stats]:
        by_id = {item.attributes.id: item for item in items}
        result = []
        for status in list(self._pods()):
            entries = []
            for container in status.running():
                item = by_id.get(container.id)
                if item is not None:
                    entry = container_stats(item, container.started_at / 1e9)
                    log = f"{self._logs}/{status.namespace}_{status.name}_{status.uid}/{container.name}"
                    entries.append({**entry, "logs": on_disk(node_fs, disk_usage(log))})
            if entries:
                volumes = disk_usage(f"{self._root.rstrip('/')}/pods/{status.uid}/volumes/kubernetes.io~empty-dir")
                result.append({**_pod(status, entries), "ephemeral-storage": _ephemeral(node_fs, entries, volumes)})
        return result


def on_disk(filesystem_stats: Stats, used: tuple[int, int]) -> Stats:
    """Files of (bytes, inodes) on a file system. Pure."""
    return {**filesystem_stats, "usedBytes": used[0], "inodesUsed": used[1]}


def _ephemeral(node_fs: Stats, entries: list[Stats], volumes: tuple[int, int]) -> Stats:
    parts = [entry[part] for entry in entries for part in ("rootfs", "logs") if part in entry]
    size = volumes[0] + sum(part["usedBytes"] for part in parts)
    return on_disk(node_fs, (size, volumes[1] + sum(part["inodesUsed"] for part in parts)))


def _pod(status: rs.PodStatus, entries: list[Stats]) -> Stats:
    started = min((s.created_at for s in status.sandboxes if s.ready), default=0) / 1e9
    cpu, used = [e["cpu"] for e in entries], [e["memory"] for e in entries]
    return {
        "podRef": {"name": status.name, "namespace": status.namespace, "uid": status.uid},
        "startTime": timestamp(started),
        "containers": entries,
        "cpu": {
            "time": max(c["time"] for c in cpu),
            "usageNanoCores": sum(c["usageNanoCores"] for c in cpu),
            "usageCoreNanoSeconds": sum(c["usageCoreNanoSeconds"] for c in cpu),
        },
        "memory": {
            "time": max(m["time"] for m in used),
            **{k: sum(m[k] for m in used) for k in ("usageBytes", "workingSetBytes", "rssBytes")},
        },
    }

"""The pods' part of /stats/summary: CRI's figures of containers, cgroups, volumes and logs on disk."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.manager import PodManager
from cka_kubelet.kubelet.pods.status import timestamp
from cka_kubelet.kubelet.podusage import disk_usage
from cka_kubelet.kubelet.server.groupsummary import GroupSummary, Stats, net_dev
from cka_kubelet.kubelet.server.stats import filesystem, interfaces

_OWN = {
    "emptyDir": "empty-dir", "configMap": "configmap", "secret": "secret", "projected": "projected",
    "downwardAPI": "downward-api",
}  # fmt: skip


def on_disk(filesystem_stats: Stats, used: tuple[int, int]) -> Stats:
    """Files of (bytes, inodes) on a file system. Pure."""
    return {**filesystem_stats, "usedBytes": used[0], "inodesUsed": used[1]}


def container_stats(item: Any, container: rs.ContainerStatus, group: Stats, image_fs: Stats) -> Stats:
    """One container's entry: CRI's ContainerStats, and what only its cgroup tells ({} without one). Pure."""
    cpu_time, memory_time = timestamp(item.cpu.timestamp / 1e9), timestamp(item.memory.timestamp / 1e9)
    working_set, nano_cores = item.memory.working_set_bytes.value, item.cpu.usage_nano_cores.value
    cpu, memory = group.get("cpu", {}), group.get("memory", {})
    result: Stats = {
        "name": container.name,
        "startTime": timestamp(container.started_at / 1e9),
        "cpu": {
            **cpu,
            "time": cpu_time,
            "usageNanoCores": nano_cores or cpu.get("usageNanoCores", 0),
            "usageCoreNanoSeconds": item.cpu.usage_core_nano_seconds.value,
        },
        "memory": {
            "pageFaults": item.memory.page_faults.value,
            "majorPageFaults": item.memory.major_page_faults.value,
            **memory,
            "time": memory_time,
            "usageBytes": item.memory.usage_bytes.value or working_set,
            "workingSetBytes": working_set,
            "rssBytes": item.memory.rss_bytes.value,
        },
        **{part: group[part] for part in ("io", "swap") if part in group},
    }
    if item.HasField("writable_layer") and item.writable_layer.timestamp:
        layer = item.writable_layer
        used = on_disk(image_fs, (layer.used_bytes.value, layer.inodes_used.value))
        result["rootfs"] = {**used, "time": timestamp(layer.timestamp / 1e9)}
    return result


def network(text: str, now: str) -> Stats:
    """A pod's traffic from its /proc/net/dev, eth0 as the default interface. Pure."""
    found = interfaces(text)
    default = next((entry for entry in found if entry["name"] == "eth0"), {"name": ""})
    return {"time": now, **default, "interfaces": found}


def totals(entries: list[Stats]) -> Stats:
    """CPU and memory of a pod without a cgroup of its own: the sum of its containers'. Pure."""
    cpu, used = [e["cpu"] for e in entries], [e["memory"] for e in entries]
    return {
        "cpu": {
            "time": max(c["time"] for c in cpu),
            **{k: sum(c[k] for c in cpu) for k in ("usageNanoCores", "usageCoreNanoSeconds")},
        },
        "memory": {
            "time": max(m["time"] for m in used),
            **{k: sum(m[k] for m in used) for k in ("usageBytes", "workingSetBytes", "rssBytes")},
        },
    }


class PodSummary:
    """One look at all pods that run. `node_fs` and `image_fs` are those file systems' entries."""

    def __init__(
        self, groups: GroupSummary, pods: PodManager, root_dir: str, logs_root: str, node_fs: Stats, image_fs: Stats
    ) -> None:
        self._groups = groups
        self._pods = pods
        self._root = root_dir
        self._logs = logs_root
        self._node_fs = node_fs
        self._image_fs = image_fs

    def all(self, items: Mapping[str, Any]) -> list[Stats]:
        """An entry for each pod with a running container; `items`: CRI's figures by container."""
        found = (self._pod(status, items) for status in list(self._pods.pleg.cache.values()))
        return [entry for entry in found if entry]

    def _pod(self, status: rs.PodStatus, items: Mapping[str, Any]) -> Stats:
        now = str(self._node_fs.get("time", ""))
        moment = time.time()
        worker = self._pods.workers.get(status.uid)
        path = self._pods.cgroups.parent(worker.pod) if worker else ""
        inner = self._groups.containers(path) if path else {}
        entries = []
        for container in status.running():
            item = items.get(container.id)
            if item is not None:
                group = self._groups.usage(inner[container.id], moment) if container.id in inner else {}
                entry = container_stats(item, container, group, self._image_fs)
                log = f"{self._logs}/{status.namespace}_{status.name}_{status.uid}/{container.name}"
                entries.append({**entry, "logs": on_disk(self._node_fs, disk_usage(log))})
        if not entries:
            return {}
        started = min((s.created_at for s in status.sandboxes if s.ready), default=0) / 1e9
        result: Stats = {
            "podRef": {"name": status.name, "namespace": status.namespace, "uid": status.uid},
            "startTime": timestamp(started),
            "containers": entries,
            **(self._groups.usage(path, moment) if inner else totals(entries)),
        }
        processes = self._groups.processes(path) if inner else []
        if processes:
            result["process_stats"] = {"process_count": len(processes)}
            result["network"] = network(net_dev(processes[0]), now)
        volumes, ephemeral = self._volumes(worker.pod, now) if worker else ([], (0, 0))
        if volumes:
            result["volume"] = volumes
        return {**result, "ephemeral-storage": self._ephemeral(entries, ephemeral)}

    def _volumes(self, pod: Any, now: str) -> tuple[list[Stats], tuple[int, int]]:
        """The volumes' entries, and what those on the node's own disk use."""
        uid, found, size, inodes = pod["metadata"]["uid"], [], 0, 0
        base = f"{self._root}/pods/{uid}/volumes"
        mounted = self._pods.volumes.mounted(uid)
        for volume in pod["spec"].get("volumes") or ():
            kind = next((k for k in volume if k != "name"), "emptyDir")
            if kind in _OWN:
                path = f"{base}/kubernetes.io~{_OWN[kind]}/{volume['name']}"
                used = disk_usage(path)
                found.append({**on_disk(filesystem(path, now), used), "name": volume["name"]})
                if kind == "emptyDir" and (volume[kind] or {}).get("medium") != "Memory":
                    size, inodes = size + used[0], inodes + used[1]
            elif kind in ("persistentVolumeClaim", "ephemeral") and volume["name"] in mounted:
                claim = (volume[kind] or {}).get("claimName") or f"{pod['metadata']['name']}-{volume['name']}"
                reference = {"name": claim, "namespace": pod["metadata"]["namespace"]}
                began = time.monotonic()
                stats = filesystem(mounted[volume["name"]].path, now)
                observed.volume_stats_seconds.add(time.monotonic() - began, "statfs")
                if stats and Path(mounted[volume["name"]].path).is_dir():
                    found.append({**stats, "name": volume["name"], "pvcRef": reference})
        return found, (size, inodes)

    def _ephemeral(self, entries: list[Stats], volumes: tuple[int, int]) -> Stats:
        parts = [entry[part] for entry in entries for part in ("rootfs", "logs") if part in entry]
        size = volumes[0] + sum(part["usedBytes"] for part in parts)
        return on_disk(self._node_fs, (size, volumes[1] + sum(part["inodesUsed"] for part in parts)))

"""/metrics/resource: CPU, memory and swap of node, pods and containers (metrics/collectors). Reads files."""

import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cka_kubelet.kube.exposition import Sample, family
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.manager import PodManager
from cka_kubelet.kubelet.server.cgroupstats import CgroupReader
from cka_kubelet.kubelet.server.groupsummary import GroupSummary
from cka_kubelet.kubelet.server.helptexts import TEXTS
from cka_kubelet.kubelet.server.stats import NodeCPU, cpu_nanoseconds, memory, swap

Rows = defaultdict[str, list[Sample]]


def page(pods: PodManager, reader: CgroupReader, items: Mapping[str, Any], *, failed: bool) -> str:
    """The whole page. `items`: CRI's figures by container; `failed`: they could not be had."""
    rows: Rows = defaultdict(list)
    groups = GroupSummary(reader, lambda _key, now, nanoseconds: NodeCPU().sample(now, nanoseconds))
    for status in sorted(pods.pleg.cache.values(), key=lambda s: (s.namespace, s.name)):
        worker = pods.workers.get(status.uid)
        path = pods.cgroups.parent(worker.pod) if worker else ""
        _pod(rows, status, reader, path, groups.containers(path) if path else {}, items)
    _node(rows)
    rows["resource_scrape_error"].append(Sample({}, failed))
    return "".join(
        family(name, "counter" if name.endswith("_total") else "gauge", TEXTS[name], samples)
        for name, samples in sorted(rows.items())
    )


def _pod(
    rows: Rows,
    status: rs.PodStatus,
    reader: CgroupReader,
    path: str,
    inner: Mapping[str, str],
    items: Mapping[str, Any],
) -> None:
    pairs = [(c, items[c.id]) for c in status.running() if c.id in items]
    for container, item in pairs:
        labels = {"container": container.name, "namespace": status.namespace, "pod": status.name}
        cpu, used = item.cpu, item.memory
        seconds = cpu.usage_core_nano_seconds.value / 1e9
        rows["container_cpu_usage_seconds_total"].append(Sample(labels, seconds, cpu.timestamp // 10**6))
        at = used.timestamp // 10**6
        rows["container_memory_working_set_bytes"].append(Sample(labels, used.working_set_bytes.value, at))
        rows["container_start_time_seconds"].append(Sample(labels, container.started_at / 1e9))
        if container.id in inner:
            own = reader.memory(inner[container.id])
            rows["container_swap_limit_bytes"].append(Sample(labels, own.get("swap_limit", 0), at))
            rows["container_swap_usage_bytes"].append(Sample(labels, own.get("swap", 0), at))
    if not pairs:
        return
    labels, at = {"namespace": status.namespace, "pod": status.name}, int(time.time() * 1000)
    if inner:
        whole = reader.memory(path)
        seconds, working = reader.cpu(path)["usage"], whole["working_set"]
        rows["pod_swap_usage_bytes"].append(Sample(labels, whole.get("swap", 0), at))
    else:
        seconds = sum(i.cpu.usage_core_nano_seconds.value for _, i in pairs) / 1e9
        working = sum(i.memory.working_set_bytes.value for _, i in pairs)
    rows["pod_cpu_usage_seconds_total"].append(Sample(labels, seconds, at))
    rows["pod_memory_working_set_bytes"].append(Sample(labels, working, at))


def _node(rows: Rows) -> None:
    at, meminfo = int(time.time() * 1000), Path("/proc/meminfo").read_text()
    seconds = cpu_nanoseconds(Path("/proc/stat").read_text()) / 1e9
    rows["node_cpu_usage_seconds_total"].append(Sample({}, seconds, at))
    rows["node_memory_working_set_bytes"].append(Sample({}, memory(meminfo)["workingSetBytes"], at))
    rows["node_swap_usage_bytes"].append(Sample({}, swap(meminfo)["swapUsageBytes"], at))

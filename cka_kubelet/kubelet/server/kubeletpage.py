"""/metrics: what the kubelet counted, and what it can see when asked. Loaded when somebody first asks."""

import math
import os
import platform
import resource
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from cka_kubelet.kube.exposition import Sample, family
from cka_kubelet.kubelet import featuregates, observed, podusage, system
from cka_kubelet.kubelet.dependencies import Dependencies
from cka_kubelet.kubelet.nodestartup import process_start
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.manager import PodManager
from cka_kubelet.kubelet.server import stats
from cka_kubelet.kubelet.server.helptexts import TEXTS
from cka_kubelet.kubelet.version import VERSION

_TTL = {
    "kubernetes.io/kube-apiserver-client-kubelet": "kubelet_certificate_manager_client_ttl_seconds",
    "kubernetes.io/kubelet-serving": "kubelet_certificate_manager_server_ttl_seconds",
}
_VOLUME_STATS = {
    "available_bytes": "availableBytes", "capacity_bytes": "capacityBytes", "inodes": "inodes",
    "inodes_free": "inodesFree", "inodes_used": "inodesUsed", "used_bytes": "usedBytes",
}  # fmt: skip
Found = tuple[str, str, Iterable[Sample]]
"""A family: its name, type and samples."""


def page(deps: Dependencies, pods: PodManager) -> str:
    """The whole page, families by name as Prometheus' Go library sorts them. Reads files."""
    found: list[Found] = [(each.name, each.kind, each.samples()) for each in observed.every()]
    found += [(name, "gauge", samples) for name, samples in _gauges(deps, pods)]
    found += [
        ("hidden_metrics_total", "counter", [Sample({}, 0)]),
        ("disabled_metrics_total", "counter", [Sample({}, 0)]),
    ]
    texts = {name: family(name, kind, TEXTS[name], samples) for name, kind, samples in found}
    levels = Counter(TEXTS[name][1:].partition("]")[0] for name in [*texts, "registered_metrics_total"])
    registered = [Sample({"deprecated_version": "", "stability_level": k}, n) for k, n in sorted(levels.items())]
    name = "registered_metrics_total"
    texts[name] = family(name, "counter", TEXTS[name], registered)
    texts |= _process()
    return "".join(text for _, text in sorted(texts.items()))


def _gauges(deps: Dependencies, pods: PodManager) -> Iterator[tuple[str, list[Sample]]]:
    yield "kubelet_node_name", [Sample({"node": deps.node_name}, 1)]
    yield "kubelet_cgroup_version", [Sample({}, deps.cgroup_version)]
    yield "kubelet_metrics_provider", [Sample({"provider": "cri"}, 1)]
    yield "rest_client_exec_plugin_ttl_seconds", [Sample({}, math.inf)]  # no such plugin is ever run
    yield "kubernetes_build_info", [Sample(_build(), 1)]
    yield (
        "kubernetes_feature_enabled",
        [
            Sample({"name": name, "stage": stage}, featuregates.enabled(deps.config, name))
            for name, stage in featuregates.STAGES.items()
        ],
    )
    for signer, name in _TTL.items():
        if signer in observed.expiries:
            yield name, [Sample({}, _left(observed.expiries[signer]))]
    yield from _pod_gauges(pods)
    yield from _cpu_gauges(pods)
    yield from _volume_gauges(pods)
    yield "kubelet_container_log_filesystem_used_bytes", list(_logs(pods))


def _left(expiry: float) -> float:
    return expiry if math.isinf(expiry) else math.trunc(expiry - time.time())


def _build() -> dict[str, str]:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    major, minor = VERSION.removeprefix("v").split(".")[:2]
    unknown = dict.fromkeys(("build_date", "compiler", "git_commit", "git_tree_state", "go_version"), "")
    return {**unknown, "git_version": VERSION, "major": major, "minor": minor, "platform": f"linux/{machine}"}


def _by_source(pods: Iterable[objects.Pod]) -> list[Sample]:
    counts = Counter("true" if objects.is_static(pod) else "" for pod in pods)
    return [Sample({"static": static}, counts[static]) for static in ("", "true")]


def _pod_gauges(pods: PodManager) -> Iterator[tuple[str, list[Sample]]]:
    statuses = list(pods.pleg.cache.values())
    workers = list(pods.workers.values())
    states = Counter(container.state for status in statuses for container in status.containers)
    yield "kubelet_running_pods", [Sample({}, sum(any(b.ready for b in s.sandboxes) for s in statuses))]
    yield "kubelet_running_containers", [Sample({"container_state": k}, n) for k, n in sorted(states.items())]
    yield "kubelet_desired_pods", _by_source(pods.pods())
    yield "kubelet_active_pods", _by_source(w.pod for w in workers if not w.finished)
    yield "kubelet_mirror_pods", [Sample({}, sum(objects.is_static(w.pod) for w in workers))]
    ephemeral = sum(len(objects.ephemeral_containers(w.pod)) for w in workers)
    yield "kubelet_managed_ephemeral_containers", [Sample({}, ephemeral)]
    if last := pods.pleg.last_seen():
        yield "kubelet_pleg_last_seen_seconds", [Sample({}, last)]
    phases: Counter[tuple[str, str, str]] = Counter()
    for worker in workers:
        phase = "terminated" if worker.finished else "terminating" if worker.terminating else "sync"
        config = "orphan" if worker.removed else "desired"
        phases[config, phase, "true" if objects.is_static(worker.pod) else ""] += 1
    every = [
        (c, p, s) for c in ("desired", "orphan") for p in ("sync", "terminating", "terminated") for s in ("", "true")
    ]
    yield (
        "kubelet_working_pods",
        [Sample({"config": c, "lifecycle": p, "static": s}, phases[c, p, s]) for c, p, s in every],
    )
    pending = Counter(w.resize_pending[0].lower() for w in workers if w.resize_pending)
    yield "kubelet_pod_pending_resizes", [Sample({"reason": reason}, n) for reason, n in sorted(pending.items())]
    yield "kubelet_pod_in_progress_resizes", [Sample({}, sum(w.resizing for w in workers))]


def _cpu_gauges(pods: PodManager) -> Iterator[tuple[str, list[Sample]]]:
    """Only the static policy gives CPUs away; without it upstream leaves both at zero."""
    shared = len(pods.cpus.shared()) if pods.cpus else 0
    given = pods.cpus.given() if pods.cpus else 0
    yield "kubelet_cpu_manager_shared_pool_size_millicores", [Sample({}, shared * 1000)]
    yield "kubelet_cpu_manager_exclusive_cpu_allocation_count", [Sample({}, given)]


def _volume_gauges(pods: PodManager) -> Iterator[tuple[str, list[Sample]]]:
    totals = sorted(pods.volumes.totals().items())
    yield "volume_manager_total_volumes", [Sample({"plugin_name": p, "state": s}, n) for (p, s), n in totals]
    claimed = {}
    for worker in list(pods.workers.values()):
        for claim, path in pods.volumes.claimed(worker.pod):
            claimed[objects.namespace(worker.pod), claim] = path
    rows = [(*key, found) for key, path in sorted(claimed.items()) if (found := stats.filesystem(path, ""))]
    for suffix, key in _VOLUME_STATS.items():
        yield (
            f"kubelet_volume_stats_{suffix}",
            [
                Sample({"namespace": namespace, "persistentvolumeclaim": claim}, found[key])
                for namespace, claim, found in rows
            ],
        )
    sockets = pods.plugin_sockets()
    yield (
        "plugin_manager_total_plugins",
        [Sample({"socket_path": path, "state": state}, 1) for path, state in sorted(sockets)],
    )


def _logs(pods: PodManager) -> Iterator[Sample]:
    for status in list(pods.pleg.cache.values()):
        folder = pods.usages.log_directory(status)
        for container in status.running():
            labels = {
                "container": container.name, "namespace": status.namespace, "pod": status.name, "uid": status.uid,
            }  # fmt: skip
            yield Sample(labels, podusage.disk_usage(f"{folder}/{container.name}")[0])


def _process() -> dict[str, str]:
    """Of this very process (Prometheus' own collector, which knows no stability levels)."""
    statm = [int(n) * os.sysconf("SC_PAGE_SIZE") for n in Path("/proc/self/statm").read_text().split()[:2]]
    times, (received, sent) = os.times(), _traffic(system.read_text("/proc/self/net/netstat"))
    files, memory = (resource.getrlimit(limit)[0] for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS))
    rows = (
        ("cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", times.user + times.system),
        ("max_fds", "gauge", "Maximum number of open file descriptors.", files),
        (
            "network_receive_bytes_total", "counter", "Number of bytes received by the process over the network.",
            received,
        ),
        ("network_transmit_bytes_total", "counter", "Number of bytes sent by the process over the network.", sent),
        ("open_fds", "gauge", "Number of open file descriptors.", sum(1 for _ in Path("/proc/self/fd").iterdir())),
        ("resident_memory_bytes", "gauge", "Resident memory size in bytes.", statm[1]),
        ("start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", process_start()),
        ("virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", statm[0]),
        (
            "virtual_memory_max_bytes", "gauge", "Maximum amount of virtual memory available in bytes.",
            float((1 << 64) - 1) if memory == resource.RLIM_INFINITY else memory,
        ),
    )  # fmt: skip
    return {
        f"process_{name}": family(f"process_{name}", kind, text, [Sample({}, value)])
        for name, kind, text, value in rows
    }


def _traffic(netstat: str) -> tuple[int, int]:
    """Bytes in and out of the network namespace, from /proc/self/net/netstat. Pure."""
    lines = [line.split()[1:] for line in netstat.splitlines() if line.startswith("IpExt:")]
    values = dict(zip(*lines, strict=False)) if len(lines) == 2 else {}
    return int(values.get("InOctets", 0)), int(values.get("OutOctets", 0))

"""Prometheus text for /metrics, /metrics/resource, /metrics/cadvisor, /metrics/probes and /metrics/slis."""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube.exposition import Sample, family
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.manager import PodManager
from cka_kubelet.kubelet.server.stats import Summary, cpu_nanoseconds, memory

_SERVICES = ("/system.slice/kubelet.service", "/system.slice/containerd.service")


class Metrics:
    """Renders what is known. Every figure is measured; families that cannot be measured here are absent."""

    def __init__(self, pods: PodManager, summary: Summary, node_name: str, cgroup_version: int) -> None:
        self._pods = pods
        self._summary = summary
        self._node = node_name
        self._cgroups = cgroup_version
        self._born = time.time()

    def kubelet(self) -> str:
        """/metrics: the kubelet itself."""
        statuses = list(self._pods.pleg.cache.values())
        states: dict[str, float] = {}
        for status in statuses:
            for container in status.containers:
                states[container.state] = states.get(container.state, 0) + 1
        running = sum(1 for s in statuses if any(b.ready for b in s.sandboxes))
        last = self._pods.pleg.last_seen()
        families = [
            family(
                "kubelet_node_name",
                "gauge",
                "[ALPHA] The node's name. The count is always 1.",
                [Sample({"node": self._node}, 1)],
            ),
            family(
                "kubelet_running_pods",
                "gauge",
                "[ALPHA] Number of pods that have a running pod sandbox",
                [Sample({}, running)],
            ),
            family(
                "kubelet_running_containers",
                "gauge",
                "[ALPHA] Number of containers currently running",
                [Sample({"container_state": k}, v) for k, v in sorted(states.items())],
            ),
            family(
                "kubelet_desired_pods",
                "gauge",
                "[ALPHA] The number of pods the kubelet is being instructed to run. "
                "static is true if the pod is not from the apiserver.",
                self._desired(),
            ),
            family(
                "kubelet_pleg_last_seen_seconds",
                "gauge",
                "[ALPHA] Timestamp in seconds when PLEG was last seen active.",
                [Sample({}, last)] if last else [],
            ),
            family(
                "kubelet_working_pods",
                "gauge",
                "[ALPHA] Number of pods the kubelet is actually running, broken down by lifecycle phase, whether the "
                "pod is desired, orphaned, or runtime only (also orphaned), and whether the pod is static. An orphaned "
                "pod has been removed from local configuration or force deleted in the API and consumes resources that "
                "are not otherwise visible.",
                self._working(),
            ),
            family(
                "kubelet_mirror_pods",
                "gauge",
                "[ALPHA] The number of mirror pods the kubelet will try to create (one per admitted static pod)",
                [Sample({}, sum(1 for w in self._pods.workers.values() if objects.is_static(w.pod)))],
            ),
            family(
                "kubelet_managed_ephemeral_containers",
                "gauge",
                "[ALPHA] Current number of ephemeral containers in pods managed by this kubelet.",
                [Sample({}, sum(len(objects.ephemeral_containers(w.pod)) for w in self._pods.workers.values()))],
            ),
            family(
                "kubelet_cgroup_version", "gauge", "[ALPHA] cgroup version on the hosts.", [Sample({}, self._cgroups)]
            ),
            observed.render(),
            self._process(),
        ]
        return "".join(families)

    def _working(self) -> list[Sample]:
        counts: Counter[tuple[str, str]] = Counter()
        for worker in self._pods.workers.values():
            phase = "terminated" if worker.finished else "terminating" if worker.terminating else "sync"
            counts[phase, "true" if objects.is_static(worker.pod) else ""] += 1
        wanted = [(phase, static) for phase in ("sync", "terminating", "terminated") for static in ("", "true")]
        return [
            Sample({"lifecycle": phase, "config": "desired", "static": static}, counts[phase, static])
            for phase, static in wanted
        ]

    def _desired(self) -> list[Sample]:
        static = sum(1 for w in self._pods.workers.values() if objects.is_static(w.pod))
        return [Sample({"static": "true"}, static), Sample({"static": ""}, len(self._pods.workers) - static)]

    def _process(self) -> str:
        statm = Path("/proc/self/statm").read_text().split()
        page = os.sysconf("SC_PAGE_SIZE")
        times = os.times()
        values = (
            (
                "process_cpu_seconds_total",
                "counter",
                "Total user and system CPU time spent in seconds.",
                times.user + times.system,
            ),
            (
                "process_open_fds",
                "gauge",
                "Number of open file descriptors.",
                sum(1 for _ in Path("/proc/self/fd").iterdir()),
            ),
            ("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", int(statm[1]) * page),
            ("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", int(statm[0]) * page),
            (
                "process_start_time_seconds",
                "gauge",
                "Start time of the process since unix epoch in seconds.",
                self._born,
            ),
        )
        return "".join(family(name, kind, text, [Sample({}, value)]) for name, kind, text, value in values)

    async def resource(self) -> str:
        """/metrics/resource: CPU and memory of node, pods and containers."""
        now = int(time.time() * 1000)
        failed = 0
        try:
            items = {i.attributes.id: i for i in await self._summary.containers()}
        except RpcError:
            items, failed = {}, 1
        cpu: list[Sample] = []
        mem: list[Sample] = []
        began: list[Sample] = []
        pod_cpu: list[Sample] = []
        pod_mem: list[Sample] = []
        for status in sorted(self._pods.pleg.cache.values(), key=lambda s: (s.namespace, s.name)):
            pairs = [(c, items[c.id]) for c in status.running() if c.id in items]
            for container, item in pairs:
                labels = {"container": container.name, "namespace": status.namespace, "pod": status.name}
                cpu.append(Sample(labels, item.cpu.usage_core_nano_seconds.value / 1e9, item.cpu.timestamp // 10**6))
                mem.append(Sample(labels, item.memory.working_set_bytes.value, item.memory.timestamp // 10**6))
                began.append(Sample(labels, container.started_at / 1e9))
            if pairs:
                whole = {"namespace": status.namespace, "pod": status.name}
                pod_cpu.append(Sample(whole, sum(i.cpu.usage_core_nano_seconds.value for _, i in pairs) / 1e9, now))
                pod_mem.append(Sample(whole, sum(i.memory.working_set_bytes.value for _, i in pairs), now))
        node_cpu, node_mem = _node_usage()
        return "".join(
            (
                family(
                    "container_cpu_usage_seconds_total",
                    "counter",
                    "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
                    cpu,
                ),
                family(
                    "container_memory_working_set_bytes",
                    "gauge",
                    "[STABLE] Current working set of the container in bytes",
                    mem,
                ),
                family(
                    "container_start_time_seconds",
                    "gauge",
                    "[STABLE] Start time of the container since unix epoch in seconds",
                    began,
                ),
                family(
                    "node_cpu_usage_seconds_total",
                    "counter",
                    "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
                    [Sample({}, node_cpu, now)],
                ),
                family(
                    "node_memory_working_set_bytes",
                    "gauge",
                    "[STABLE] Current working set of the node in bytes",
                    [Sample({}, node_mem, now)],
                ),
                family(
                    "pod_cpu_usage_seconds_total",
                    "counter",
                    "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
                    pod_cpu,
                ),
                family(
                    "pod_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the pod in bytes", pod_mem
                ),
                family(
                    "resource_scrape_error",
                    "gauge",
                    "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
                    [Sample({}, failed)],
                ),
            )
        )

    async def cadvisor(self) -> str:
        """/metrics/cadvisor: the cgroups of the machine, of pods and of containers."""
        from cka_kubelet.kubelet.server import cadvisor  # only a monitored node needs these two
        from cka_kubelet.kubelet.server.cgroupstats import CgroupReader

        reader = CgroupReader(self._cgroups)
        statuses = list(self._pods.pleg.cache.values())
        top = self._pods.cgroups.top
        filesystems = await self._summary.filesystems()

        def page() -> str:
            shown = cadvisor.groups(reader, statuses, top, _SERVICES)
            return cadvisor.render(reader, shown, filesystems)

        return await asyncio.to_thread(page)

    def probes(self) -> str:
        """/metrics/probes: how often probes ran, and how it went."""
        samples = [
            Sample(
                {"container": c, "namespace": ns, "pod": pod, "pod_uid": uid, "probe_type": kind, "result": result}, n
            )
            for (c, ns, pod, uid, kind, result), n in sorted(self._pods.probes.totals.items())
        ]
        text = "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result."
        born = [Sample({}, self._born)]
        return family("prober_probe_total", "counter", text, samples) + family(
            "process_start_time_seconds",
            "gauge",
            "[ALPHA] Start time of the process since unix epoch in seconds.",
            born,
        )

    def slis(self) -> str:
        """/metrics/slis: the health checks."""
        samples = [Sample({"name": n, "type": "healthz"}, 1) for n in ("device-plugin", "log", "ping", "syncloop")]
        return family(
            "kubernetes_healthcheck",
            "gauge",
            "[STABLE] This metric records the result of a single healthcheck.",
            samples,
        )


def _node_usage() -> tuple[float, float]:
    """(CPU seconds, working set in bytes) of the whole node."""
    cpu = cpu_nanoseconds(Path("/proc/stat").read_text()) / 1e9
    return cpu, float(memory(Path("/proc/meminfo").read_text())["workingSetBytes"])

"""Prometheus text for /metrics, /metrics/resource, /metrics/cadvisor, /metrics/probes and /metrics/slis."""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.manager import PodManager
from cka_kubelet.kubelet.server.stats import Summary, cpu_nanoseconds, memory

Labels = Mapping[str, str]


class Sample(NamedTuple):
    """One value; `at` in milliseconds, or None."""

    labels: Labels
    value: float
    at: int | None = None
    suffix: str = ""


def family(name: str, kind: str, help_text: str, samples: Iterable[Sample]) -> str:
    """One metric family in the text format; "" without samples."""
    lines = []
    for sample in samples:
        labels = ",".join(f'{k}="{_escape(v)}"' for k, v in sorted(sample.labels.items()))
        stamp = f" {sample.at}" if sample.at is not None else ""
        lines.append(
            f"{name}{sample.suffix}{{{labels}}} {_number(sample.value)}{stamp}"
            if labels
            else f"{name}{sample.suffix} {_number(sample.value)}{stamp}"
        )
    if not lines:
        return ""
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n" + "\n".join(lines) + "\n"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e21 else repr(float(value))


class Metrics:
    """Renders what is known. Every figure is measured; families that cannot be measured here are absent."""

    def __init__(self, pods: PodManager, summary: Summary, node_name: str) -> None:
        self._pods = pods
        self._summary = summary
        self._node = node_name
        self.requests: dict[tuple[str, str], int] = {}
        self._born = time.time()

    def kubelet(self) -> str:
        """/metrics: the kubelet itself."""
        statuses = list(self._pods.pleg.cache.values())
        states: dict[str, float] = {}
        for status in statuses:
            for container in status.containers:
                states[container.state] = states.get(container.state, 0) + 1
        running = sum(1 for s in statuses if any(b.ready for b in s.sandboxes))
        total, count = self._pods.pleg.relist_seconds
        relist = [Sample({}, total, suffix="_sum"), Sample({}, count, suffix="_count")]
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
                "[STABLE] Number of pods that have a running pod sandbox",
                [Sample({}, running)],
            ),
            family(
                "kubelet_running_containers",
                "gauge",
                "[STABLE] Number of containers currently running",
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
                "kubelet_pleg_relist_duration_seconds",
                "summary",
                "[STABLE] Duration in seconds for relisting pods in PLEG.",
                relist,
            ),
            family(
                "kubelet_pleg_last_seen_seconds",
                "gauge",
                "[STABLE] Timestamp in seconds when PLEG was last seen active.",
                [Sample({}, last)] if last else [],
            ),
            family(
                "kubelet_http_requests_total",
                "counter",
                "[ALPHA] Number of the http requests received since the server started",
                [
                    Sample({"method": m, "path": p, "server_type": "readwrite"}, n)
                    for (m, p), n in sorted(self.requests.items())
                ],
            ),
            self._process(),
        ]
        return "".join(families)

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
        """/metrics/cadvisor: containers' CPU and memory under cAdvisor's names."""
        try:
            items = await self._summary.containers()
        except RpcError:
            items = []
        cpu, mem = [], []
        for item in items:
            if not item.cpu.timestamp:  # listed, but not running
                continue
            labels = _cadvisor_labels(item)
            at = item.cpu.timestamp // 10**6
            cpu.append(Sample({**labels, "cpu": "total"}, item.cpu.usage_core_nano_seconds.value / 1e9, at))
            mem.append(Sample(labels, item.memory.working_set_bytes.value, at))
        return family(
            "container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.", cpu
        ) + family("container_memory_working_set_bytes", "gauge", "Current working set in bytes.", mem)

    def probes(self) -> str:
        """/metrics/probes: how often probes ran, and how it went."""
        samples = [
            Sample(
                {"container": c, "namespace": ns, "pod": pod, "pod_uid": uid, "probe_type": kind, "result": result}, n
            )
            for (c, ns, pod, uid, kind, result), n in sorted(self._pods.probes.totals.items())
        ]
        text = "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result."
        return family("prober_probe_total", "counter", text, samples)

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


def _cadvisor_labels(item: Any) -> dict[str, str]:
    labels = item.attributes.labels
    return {
        "container": labels.get(rs.L_CONTAINER, ""),
        "id": item.attributes.id,
        "image": item.attributes.metadata.name,
        "name": item.attributes.id,
        "namespace": labels.get(rs.L_NAMESPACE, ""),
        "pod": labels.get(rs.L_POD, ""),
    }

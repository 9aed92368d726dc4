"""Prometheus text for /metrics, /metrics/resource, /metrics/cadvisor, /metrics/probes and /metrics/slis."""

import asyncio
from collections import Counter

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube.exposition import Sample, family
from cka_kubelet.kubelet.dependencies import Dependencies
from cka_kubelet.kubelet.nodestartup import process_start
from cka_kubelet.kubelet.pods.manager import PodManager
from cka_kubelet.kubelet.server.stats import Summary

_SERVICES = ("/system.slice/kubelet.service", "/system.slice/containerd.service")


class Metrics:
    """Renders what is known. Every figure is measured; families that cannot be measured here are absent."""

    def __init__(self, deps: Dependencies, pods: PodManager, summary: Summary) -> None:
        self._deps = deps
        self._pods = pods
        self._summary = summary
        self._checks: Counter[str] = Counter()

    async def kubelet(self) -> str:
        """/metrics: the kubelet itself."""
        from cka_kubelet.kubelet.server import kubeletpage  # only a monitored node needs it

        return await asyncio.to_thread(kubeletpage.page, self._deps, self._pods)

    async def resource(self) -> str:
        """/metrics/resource: CPU, memory and swap of node, pods and containers."""
        from cka_kubelet.kubelet.server import resourcepage  # only a monitored node needs these two
        from cka_kubelet.kubelet.server.cgroupstats import CgroupReader

        failed, items = False, {}
        try:
            items = {i.attributes.id: i for i in await self._summary.containers()}
        except RpcError:
            failed = True
        reader = CgroupReader(self._deps.cgroup_version)
        return await asyncio.to_thread(resourcepage.page, self._pods, reader, items, failed=failed)

    async def cadvisor(self) -> str:
        """/metrics/cadvisor: the cgroups of the machine, of pods and of containers."""
        from cka_kubelet.kubelet.server import cadvisor  # only a monitored node needs these two
        from cka_kubelet.kubelet.server.cgroupstats import CgroupReader

        reader = CgroupReader(self._deps.cgroup_version)
        statuses = list(self._pods.pleg.cache.values())
        top = self._pods.cgroups.top
        filesystems = await self._summary.filesystems()

        def page() -> str:
            shown = cadvisor.groups(reader, statuses, top, _SERVICES)
            return cadvisor.render(reader, shown, filesystems)

        return await asyncio.to_thread(page)

    async def probes(self) -> str:
        """/metrics/probes: how often probes ran, and how it went."""
        from cka_kubelet.kubelet.server.helptexts import TEXTS

        samples = [
            Sample(
                {"container": c, "namespace": ns, "pod": pod, "pod_uid": uid, "probe_type": kind, "result": result}, n
            )
            for (c, ns, pod, uid, kind, result), n in sorted(self._pods.probes.totals.items())
        ]
        return family("prober_probe_total", "counter", TEXTS["prober_probe_total"], samples) + _born()

    def checked(self, name: str) -> None:
        """One of /healthz' checks was run, and was well."""
        self._checks[name] += 1

    async def slis(self) -> str:
        """/metrics/slis: how the health checks went that somebody asked for."""
        from cka_kubelet.kubelet.server.helptexts import TEXTS

        last = [Sample({"name": name, "type": "healthz"}, 1) for name in sorted(self._checks)]
        totals = [
            Sample({"name": name, "status": "success", "type": "healthz"}, n)
            for name, n in sorted(self._checks.items())
        ]
        return (
            family("kubernetes_healthcheck", "gauge", TEXTS["kubernetes_healthcheck"], last)
            + family("kubernetes_healthchecks_total", "counter", TEXTS["kubernetes_healthchecks_total"], totals)
            + _born()
        )


def _born() -> str:
    text = "[ALPHA] Start time of the process since unix epoch in seconds."
    return family("process_start_time_seconds", "gauge", text, [Sample({}, process_start())])

"""What /stats/summary tells of cgroups: CPU, memory, pressure, swap and network (pkg/kubelet/stats/helper.go)."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from cka_kubelet.kubelet import system
from cka_kubelet.kubelet.pods.status import timestamp
from cka_kubelet.kubelet.server.cgroupstats import CgroupReader, Values

Stats = dict[str, Any]

_RESOURCES = ("cpu", "memory", "io")
_RUNTIME = "/system.slice/containerd.service"


def psi(text: str) -> Stats:
    """A pressure file; zeros when the kernel has none, as upstream's. `total` is microseconds. Pure."""
    found: Stats = {kind: {"total": 0, "avg10": 0, "avg60": 0, "avg300": 0} for kind in ("full", "some")}
    for line in text.splitlines():
        kind, *pairs = line.split()
        if kind in found:
            for name, _, value in (pair.partition("=") for pair in pairs):
                with suppress(ValueError):
                    found[kind][name] = int(value) if name == "total" else float(value)
    return found


def own_cgroup(text: str) -> str:
    """The cgroup of a process by its /proc/PID/cgroup: systemd's, or the only one; "" for the root. Pure."""
    for line in text.splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if (controllers == "name=systemd" or (number == "0" and not controllers)) and path.strip("/"):
            return path
    return ""


def process_nanoseconds(stat: str) -> int:
    """User and system time of a process and its ended children, from /proc/PID/stat; 0 when it is gone. Pure."""
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * 10**9 // os.sysconf("SC_CLK_TCK")


class GroupSummary:
    """Figures of cgroups as they are now."""

    def __init__(self, reader: CgroupReader, rates: Any) -> None:
        """`rates(key, seconds, nanoseconds)` gives nano-cores since the last look at the same key."""
        self._reader = reader
        self._rates = rates

    def usage(self, path: str, moment: float) -> Stats:
        """`cpu`, `memory`, `io` and `swap` of one cgroup. `availableBytes` only below a limit of its own."""
        now = timestamp(moment)
        used = self._reader.memory(path)
        nanoseconds = int(self._reader.cpu(path)["usage"] * 1e9) or self._alive(path)
        pressure = self.pressure(path)
        limit, working = int(used["limit"]), int(used["working_set"])
        return {
            "cpu": {
                "time": now,
                "usageNanoCores": self._rates(path, moment, nanoseconds),
                "usageCoreNanoSeconds": nanoseconds,
                "psi": pressure["cpu"],
            },
            "memory": {
                "time": now,
                **({"availableBytes": max(0, limit - working)} if limit else {}),
                "usageBytes": int(used["usage"]),
                "workingSetBytes": working,
                "rssBytes": int(used["rss"]),
                **_faults(used),
                "psi": pressure["memory"],
            },
            "io": {"time": now, "psi": pressure["io"]},
            "swap": {"time": now, "swapUsageBytes": int(used["swap"])},
        }

    def _alive(self, path: str) -> int:
        """CPU time of the processes there and their ended children: on v1, services without accounting tell no more."""
        texts = (system.read_text(f"/proc/{pid}/stat") for pid in self._reader.processes(path))
        return sum(process_nanoseconds(text) for text in texts)

    def faults(self, path: str) -> Stats:
        """Page faults; on cgroup v1 those of the cgroup's own processes only."""
        return _faults(self._reader.memory(path))

    def pressure(self, path: str) -> dict[str, Stats]:
        """PSI by resource."""
        return {resource: psi(self._reader.pressure_text(path, resource)) for resource in _RESOURCES}

    def system_containers(self, top: str, kubelet: str, moment: float) -> list[Stats]:
        """kubelet, runtime and pods, each that has a cgroup of its own. `kubelet`: the configured one, or ""."""
        kubelet = kubelet or own_cgroup(system.read_text("/proc/self/cgroup"))
        found = []
        for name, path in (("kubelet", kubelet), ("runtime", _RUNTIME), ("pods", top)):
            born = self._reader.born(path) if path else 0
            if born:
                found.append({"name": name, "startTime": timestamp(born), **self.usage(path, moment)})
        return found

    def containers(self, pod: str) -> dict[str, str]:
        """The cgroups directly below a pod's, by the id of container or sandbox."""
        paths = list(self._reader.below(pod))
        return {path.rsplit("/", 1)[-1].removesuffix(".scope").rpartition("-")[2]: path for path in paths[1:]}

    def processes(self, pod: str) -> list[int]:
        """All processes of the pod."""
        return [pid for path in self._reader.below(pod) for pid in self._reader.processes(path)]


def _faults(used: Values) -> Stats:
    return {"pageFaults": int(used["own_faults"]), "majorPageFaults": int(used["own_major_faults"])}


def net_dev(pid: int) -> str:
    """Traffic in the network namespace of a process; "" when it is gone."""
    return system.read_text(str(Path("/proc") / str(pid) / "net/dev"))

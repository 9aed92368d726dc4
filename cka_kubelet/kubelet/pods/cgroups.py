"""The QoS tree of cgroups: kubepods / burstable, besteffort / pod<UID>, on v1 and v2, by either driver.

Names and figures are pkg/kubelet/cm's. With the systemd driver slices are transient units with the properties that
libcontainer gives them, so that systemd does not undo the limits when it reloads.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import errno_text
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import objects, resources
from cka_kubelet.kubelet.pods.systemd import Property, Systemd, SystemdError

ROOT = Path("/sys/fs/cgroup")
_V1 = ("cpu", "cpuacct", "cpuset", "memory", "pids", "hugetlb", "systemd")


class CgroupError(Exception):
    """A cgroup could not be made; the text is the FailedToCreatePodContainer event's."""


def pod_path(pod: objects.Pod) -> tuple[str, ...]:
    """The elements of the pod's cgroup name, below the root."""
    qos = objects.qos_class(pod)
    middle = () if qos == "Guaranteed" else (qos.lower(),)
    return ("kubepods", *middle, f"pod{objects.uid(pod)}")


def systemd_name(elements: tuple[str, ...]) -> str:
    """`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice`; dashes turn to underscores."""
    path, prefix = "", ""
    for element in elements:
        prefix = f"{prefix}-{element.replace('-', '_')}" if prefix else element.replace("-", "_")
        path += f"/{prefix}.slice"
    return path


class Limits(NamedTuple):
    """What a cgroup is held to: cpu.shares, microseconds of CPU in 100 ms, bytes, tasks. 0: left as it is."""

    shares: int = 0
    quota: int = 0
    memory: int = 0
    pids: int = 0


def unit_properties(unit: str, parent: str, *, v2: bool) -> list[Property]:
    """The properties of a new slice (opencontainers/cgroups, Apply)."""
    accounting = ("MemoryAccounting", "CPUAccounting", "IOAccounting" if v2 else "BlockIOAccounting", "TasksAccounting")
    return [
        Property("Description", "s", f"libcontainer container {unit}"),
        Property("Wants", "as", [parent]),
        *(Property(name, "b", True) for name in accounting),
        Property("DefaultDependencies", "b", False),
    ]


def limit_properties(limits: Limits, *, v2: bool) -> list[Property]:
    """The limits as unit properties (opencontainers/cgroups, genV1ResourcesProperties and its twin)."""
    found = []
    if limits.memory:
        found.append(Property("MemoryMax" if v2 else "MemoryLimit", "t", limits.memory))
    if limits.shares and v2:
        found.append(Property("CPUWeight", "t", resources.weight(limits.shares)))
    elif limits.shares:
        found.append(Property("CPUShares", "t", limits.shares))
    if limits.quota:
        found.append(Property("CPUQuotaPeriodUSec", "t", resources.PERIOD))
        found.append(Property("CPUQuotaPerSecUSec", "t", limits.quota * 1_000_000 // resources.PERIOD))
    if limits.pids > 0:
        found.append(Property("TasksMax", "t", limits.pids))
    return found


@contextlib.contextmanager
def _timed(operation: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        observed.cgroup_seconds.add(time.monotonic() - began, operation)


class Cgroups:
    """Makes, limits and removes the tree. Does nothing but name parents when `enabled` is false (cgroupsPerQOS)."""

    def __init__(self, driver: str, version: int, enabled: bool, pids_limit: int = -1, root: Path = ROOT) -> None:
        self._systemd = driver == "systemd"
        self._v2 = version == 2
        self._enabled = enabled
        self._pids_limit = pids_limit
        self._root = root
        self._burstable: dict[str, int] = {}
        found = [root / c for c in _V1 if (root / c).resolve().is_mount() and (c != "systemd" or self._systemd)]
        self._controllers = list({c.resolve(): c for c in found}.values())

    def parent(self, pod: objects.Pod) -> str:
        """What the runtime is told as the pod's cgroup parent."""
        return self._name(pod_path(pod)) if self._enabled else ""

    @property
    def top(self) -> str:
        """The name of the cgroup that holds all pods'."""
        return self._name(("kubepods",))

    def _name(self, elements: tuple[str, ...]) -> str:
        return systemd_name(elements) if self._systemd else "/" + "/".join(elements)

    def start(self, memory: int, milli_cpu: int) -> None:
        """Make kubepods and the two QoS groups; limits are for all pods together (0: none). Raises CgroupError."""
        if not self._enabled:
            return
        whole = Limits(shares=resources.shares(milli_cpu) if milli_cpu else 0, memory=memory)
        self._make(("kubepods",), whole)
        self._make(("kubepods", "burstable"), Limits(resources.MIN_SHARES))
        self._make(("kubepods", "besteffort"), Limits(resources.MIN_SHARES))

    def make_pod(self, pod: objects.Pod) -> None:
        """Make the pod's cgroup with its limits, if it is not there. Raises CgroupError."""
        if not self._enabled:
            return
        request = resources.pod_requests(pod)["cpu"]
        if objects.qos_class(pod) == "Burstable" and self._burstable.get(objects.uid(pod)) != request:
            self._burstable[objects.uid(pod)] = request
            self._weigh_burstable()
        if not self.exists(pod):
            with _timed("create"):
                self._make(pod_path(pod), self._limits(pod))

    def limit_pod(self, pod: objects.Pod) -> None:
        """Hold the pod's cgroup to the pod's present limits."""
        if self._enabled:
            with _timed("update"):
                self._limit(pod_path(pod), self._limits(pod))

    def _limits(self, pod: objects.Pod) -> Limits:
        cpu, memory = resources.pod_limits(pod)
        shares = resources.shares(resources.pod_requests(pod)["cpu"])
        return Limits(shares, self._quota(cpu), memory, self._pids_limit)

    def _quota(self, milli_cpu: int) -> int:
        """systemd knows whole percents of a core only, so with it quotas are rounded up to them (addCPUQuota)."""
        step = resources.PERIOD // 100 if self._systemd else 1
        return -(-resources.quota(milli_cpu) // step) * step

    def settled(self, pod: objects.Pod) -> bool:
        """Whether make_pod has nothing to do."""
        counted = objects.qos_class(pod) != "Burstable" or objects.uid(pod) in self._burstable
        return not self._enabled or (counted and self.exists(pod))

    def exists(self, pod: objects.Pod) -> bool:
        """Whether the pod's cgroup is there."""
        return all(d.is_dir() for d in self._directories(pod_path(pod)))

    def remove_pod(self, pod: objects.Pod) -> None:
        """Remove the pod's cgroup. What still holds processes stays, and is tried again with the orphans."""
        if not self._enabled:
            return
        if self._burstable.pop(objects.uid(pod), None) is not None:
            self._weigh_burstable()
        with _timed("destroy"):
            self._remove(pod_path(pod))

    def _remove(self, elements: tuple[str, ...]) -> None:
        if self._systemd:
            with contextlib.suppress(SystemdError), Systemd() as systemd:
                systemd.stop(self._unit(elements))
        for directory in self._directories(elements):
            for inner in sorted(directory.rglob("*"), reverse=True):
                if inner.is_dir():
                    with contextlib.suppress(OSError):
                        inner.rmdir()
            with contextlib.suppress(OSError):
                directory.rmdir()

    def orphans(self, alive: set[str]) -> list[tuple[str, ...]]:
        """Pod cgroups whose pod is not among `alive` (uids)."""
        found = []
        base = self._root if self._v2 else self._root / "memory"
        for middle in ((), ("burstable",), ("besteffort",)):
            parent = base / self._name(("kubepods", *middle)).lstrip("/")
            with contextlib.suppress(OSError):
                for entry in parent.iterdir():
                    uid = self._uid_of(entry.name)
                    if uid and uid not in alive:
                        found.append(("kubepods", *middle, f"pod{uid}"))
        return found

    def remove(self, elements: tuple[str, ...]) -> None:
        """Remove one cgroup of `orphans`."""
        self._remove(elements)

    def _uid_of(self, name: str) -> str:
        if not self._systemd:
            return name[3:] if name.startswith("pod") else ""
        _, found, rest = name.removesuffix(".slice").rpartition("-pod")
        return rest.replace("_", "-") if found else ""

    def _directories(self, elements: tuple[str, ...]) -> list[Path]:
        name = self._name(elements).lstrip("/")
        if self._v2:
            return [self._root / name]
        return [base / name for base in self._controllers]

    def _weigh_burstable(self) -> None:
        self._limit(("kubepods", "burstable"), Limits(resources.shares(sum(self._burstable.values()))))

    def _make(self, elements: tuple[str, ...], limits: Limits) -> None:
        try:
            if self._systemd:
                self._make_slice(elements, limits)
            for directory in self._directories(elements):
                directory.mkdir(mode=0o755, parents=True, exist_ok=True)
                if "cpuset" in directory.parts:
                    _inherit_cpuset(directory)
            if self._v2:
                self._delegate(elements)
        except SystemdError as error:
            raise CgroupError(f"failed to create container for [{' '.join(elements)}] : {error}") from None
        except OSError as error:
            raise CgroupError(
                f"failed to create container for [{' '.join(elements)}] : mkdir {error.filename}: {errno_text(error)}"
            ) from None
        self._write_limits(elements, limits)

    def _unit(self, elements: tuple[str, ...]) -> str:
        return systemd_name(elements).rsplit("/", 1)[1]

    def _make_slice(self, elements: tuple[str, ...], limits: Limits) -> None:
        """Over one connection: each costs PID 1 as much CPU time as the slice itself."""
        unit = self._unit(elements)
        parent = self._unit(elements[:-1]) if len(elements) > 1 else "-.slice"
        with Systemd() as systemd:
            systemd.start(unit, unit_properties(unit, parent, v2=self._v2))
            self._limit_slice(systemd, unit, limits)

    def _delegate(self, elements: tuple[str, ...]) -> None:
        """Give the controllers to every level above (cgroup v2)."""
        directory = self._root / self._name(elements).lstrip("/")
        available = (self._root / "cgroup.controllers").read_text().split()
        wanted = " ".join(f"+{c}" for c in ("cpu", "cpuset", "memory", "pids", "hugetlb", "io") if c in available)
        for level in [p for p in reversed(directory.parents) if p.is_relative_to(self._root)] + [directory]:
            _write(level / "cgroup.subtree_control", wanted)

    def _limit(self, elements: tuple[str, ...], limits: Limits) -> None:
        if self._systemd:
            try:
                with Systemd() as systemd:
                    self._limit_slice(systemd, self._unit(elements), limits)
            except SystemdError as error:
                _not_set(err=error)
        self._write_limits(elements, limits)

    def _limit_slice(self, systemd: Systemd, unit: str, limits: Limits) -> None:
        if properties := limit_properties(limits, v2=self._v2):
            try:
                systemd.set(unit, properties)
            except SystemdError as error:
                _not_set(err=error)

    def _write_limits(self, elements: tuple[str, ...], limits: Limits) -> None:
        name = self._name(elements).lstrip("/")
        shares, quota, memory, pids = limits
        if self._v2:
            base = self._root / name
            values = {
                base / "cpu.weight": resources.weight(shares) if shares else 0,
                base / "cpu.max": f"{quota} {resources.PERIOD}" if quota else "",
                base / "memory.max": memory,
                base / "pids.max": max(pids, 0),
            }
        else:
            values = {
                self._root / "cpu" / name / "cpu.shares": shares,
                self._root / "cpu" / name / "cpu.cfs_quota_us": quota,
                self._root / "memory" / name / "memory.limit_in_bytes": memory,
                self._root / "pids" / name / "pids.max": max(pids, 0),
            }
        for path, value in values.items():
            if value:
                _write(path, str(value))


def _inherit_cpuset(directory: Path) -> None:
    """A v1 cpuset without CPUs holds no processes: copy the parent's."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        with contextlib.suppress(OSError):
            if not (directory / name).read_text().strip():
                _write(directory / name, (directory.parent / name).read_text().strip())


def _write(path: Path, text: str) -> None:
    """Write one control file; a kernel without it is no reason to stop."""
    try:
        path.write_text(text)
    except OSError as error:
        _not_set(path=str(path), err=errno_text(error))


def _not_set(**values: object) -> None:
    klog.info("cgroup_manager_linux.go:305", "Failed to set cgroup value", v=4, **values)

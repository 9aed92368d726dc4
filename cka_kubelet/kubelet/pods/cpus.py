"""The static CPU manager policy: whole CPUs for containers of Guaranteed pods that ask for them.

After pkg/kubelet/cm/cpumanager. Imported only where cpuManagerPolicy is static.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.pods import objects, resources
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.admission import Rejection

SYSTEM = Path("/sys/devices/system/cpu")
Topology = dict[int, tuple[int, int]]
"""CPU → (socket, core)."""


class CPUError(Exception):
    """Not enough CPUs are left; the text is upstream's."""


def parse(text: str) -> set[int]:
    """`0-2,7` as numbers. Raises ValueError."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if part:
            found.update(range(int(first), int(last or first) + 1))
    return found


def show(cpus: Iterable[int]) -> str:
    """Numbers as `0-2,7`."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and runs[-1][1] == cpu - 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def read_topology(system: Path = SYSTEM) -> Topology:
    """The machine's CPUs that are online; without details each is a core of its own."""
    found: Topology = {}
    for cpu in parse((system / "online").read_text()):
        base = system / f"cpu{cpu}" / "topology"
        try:
            found[cpu] = int((base / "physical_package_id").read_text()), int((base / "core_id").read_text())
        except (OSError, ValueError):
            found[cpu] = 0, cpu
    return found


def take(topology: Topology, free: set[int], count: int) -> set[int]:
    """`count` of the free CPUs: whole sockets, then whole cores, then single threads, lowest first. Raises CPUError."""
    if count > len(free):
        raise CPUError(f"not enough cpus available to satisfy request: requested={count}, available={len(free)}")
    taken: set[int] = set()
    for parts in (1, 2):  # sockets, cores
        groups: dict[tuple[int, ...], set[int]] = {}
        for cpu, place in topology.items():
            groups.setdefault(place[:parts], set()).add(cpu)
        for _, group in sorted(groups.items()):
            if group <= free - taken and len(group) <= count - len(taken):
                taken |= group
    rest = sorted(free - taken, key=lambda c: (*topology[c], c))
    return taken | set(rest[: count - len(taken)])


def exclusive(pod: objects.Pod, container: objects.Container) -> int:
    """How many whole CPUs the container is to have for itself; 0 when it shares."""
    if objects.qos_class(pod) != "Guaranteed":
        return 0
    milli = resources.container_figures(container)[0]
    return milli // 1000 if milli % 1000 == 0 else 0


class CPUManager:
    """Who has which CPUs, kept in the file `path`. `reserved` are never given away, but are shared."""

    def __init__(self, path: Path, topology: Topology, reserved: set[int]) -> None:
        self._path = path
        self._topology = topology
        self._reserved = reserved
        self._entries: dict[str, dict[str, set[int]]] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError):  # another file was refused before this
            entries = json.loads(path.read_text()).get("entries") or {}
            self._entries = {uid: {c: parse(t) for c, t in given.items()} for uid, given in entries.items()}

    def shared(self) -> set[int]:
        """The CPUs of everybody who has none of its own."""
        return set(self._topology).difference(*(c for given in self._entries.values() for c in given.values()))

    def given(self) -> int:
        """How many CPUs belong to one container alone."""
        return len(self._topology) - len(self.shared())

    def admit(self, pod: objects.Pod) -> Rejection | None:
        """Allocate; why the pod must be rejected, if it must."""
        if any(exclusive(pod, c) for c in [*objects.init_containers(pod), *objects.containers(pod)]):
            observed.pinning_requests.add()
        try:
            self.allocate(pod)
        except CPUError as error:
            observed.pinning_errors.add()
            observed.topology_errors.add()
            return Rejection("UnexpectedAdmissionError", f"Allocate failed due to {error}, which is unexpected")
        return None

    def allocate(self, pod: objects.Pod) -> None:
        """Give every container its CPUs; init containers' are used again by later ones. Raises CPUError."""
        uid = objects.uid(pod)
        given = dict(self._entries.get(uid) or {})
        reusable: set[int] = set()
        init = objects.init_containers(pod)
        for container in [*init, *objects.containers(pod)]:
            count = exclusive(pod, container)
            if not count:
                continue
            cpus = given.get(container["name"])
            if cpus is None:
                cpus = set(sorted(reusable)[:count])
                free = self.shared() - self._reserved - set().union(*given.values()) - reusable
                cpus |= take(self._topology, free, count - len(cpus))
                given[container["name"]] = cpus
            if container in init and not objects.is_sidecar(container):
                reusable |= cpus
            else:
                reusable -= cpus
        if given:
            self._entries[uid] = given
            self._save()

    def affinity(self, uid: str, container: str) -> str:
        """The container's cpuset."""
        return show((self._entries.get(uid) or {}).get(container) or self.shared())

    def forget(self, uid: str) -> None:
        """Take back what the pod has."""
        if self._entries.pop(uid, None) is not None:
            self._save()

    def _save(self) -> None:
        entries = {uid: {c: show(cpus) for c, cpus in given.items()} for uid, given in self._entries.items()}
        state = {"policyName": "static", "defaultCpuSet": show(self.shared()), "entries": entries, "checksum": 0}
        part = self._path.with_name(f".{self._path.name}")
        part.touch(mode=0o600)
        part.write_text(json.dumps(state, separators=(",", ":")))
        part.replace(self._path)


class Keeper(CPUManager):
    """Keeps containers without CPUs of their own off those that were given away."""

    def __init__(
        self, path: Path, topology: Topology, reserved: set[int],
        cri: CRIClient, pods: Mapping[str, rs.PodStatus], period: float,
    ) -> None:  # fmt: skip
        super().__init__(path, topology, reserved)
        self._cri = cri
        self._pods = pods
        self._period = period
        self._applied: dict[str, str] = {}

    async def run(self) -> None:
        """Reconcile every cpuManagerReconcilePeriod, until cancelled."""
        self._save()
        while True:
            await asyncio.sleep(self._period)
            await self.reconcile()

    async def reconcile(self) -> None:
        """Give every running container the cpuset that it should have."""
        running = [(s.uid, c) for s in self._pods.values() for c in s.running()]
        self._applied = {c.id: self._applied[c.id] for _, c in running if c.id in self._applied}
        for uid, container in running:
            cpuset = self.affinity(uid, container.name)
            if self._applied.get(container.id) != cpuset:
                with contextlib.suppress(RpcError):  # logged by the client; the next round tries again
                    limits = pb.LinuxContainerResources(cpuset_cpus=cpuset)
                    await self._cri.update_container_resources(container.id, limits)
                    self._applied[container.id] = cpuset


def manager(config: KubeletConfiguration, root_dir: str, cri: CRIClient, pods: Mapping[str, rs.PodStatus]) -> Keeper:
    """The policy as configured: reservedSystemCPUs, else as many of the first as are reserved by amount."""
    topology = read_topology()
    if config.get("reservedSystemCPUs"):
        reserved = parse(str(config["reservedSystemCPUs"]))
    else:
        amounts = [(config.get(field) or {}).get("cpu") for field in ("systemReserved", "kubeReserved")]
        milli = sum(resources.milli_cpu(amount) for amount in amounts)
        reserved = take(topology, set(topology), min(-(-milli // 1000), len(topology)))
    period = config.duration("cpuManagerReconcilePeriod")
    return Keeper(Path(root_dir) / "cpu_manager_state", topology, reserved, cri, pods, period)

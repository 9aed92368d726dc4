"""Requests and limits as the kernel wants them. Pure figures; the rules are kuberuntime's and pkg/kubelet/cm's."""

from fractions import Fraction

from cka_kubelet.kube import quantity
from cka_kubelet.kubelet.pods import objects

MIN_SHARES, MAX_SHARES, MIN_QUOTA, PERIOD = 2, 262144, 1000, 100000


def amount(text: str) -> Fraction:
    """A resource.Quantity as an exact number. Admission has validated it; an unreadable one counts as 0."""
    try:
        return Fraction(quantity.parse(text).nanos, 10**9)
    except quantity.QuantityError:
        return Fraction(0)


def milli_cpu(text: object) -> int:
    """Thousandths of a core, rounded up."""
    value = amount(str(text or "0")) * 1000
    return -(-value.numerator // value.denominator)


def byte_count(text: object) -> int:
    """Bytes, rounded up."""
    value = amount(str(text or "0"))
    return -(-value.numerator // value.denominator)


def shares(milli: int) -> int:
    """cpu.shares of so many thousandths of a core."""
    return min(MAX_SHARES, max(MIN_SHARES, milli * 1024 // 1000)) if milli else MIN_SHARES


def quota(milli: int) -> int:
    """cpu.cfs_quota_us for the period of 100 ms; 0 is "no limit"."""
    return max(MIN_QUOTA, milli * PERIOD // 1000) if milli else 0


def weight(cpu_shares: int) -> int:
    """cpu.weight of cgroup v2 for cpu.shares."""
    return 1 + ((cpu_shares - 2) * 9999) // 262142


def container_figures(container: objects.Container) -> tuple[int, int, int]:
    """(milli CPU requested, milli CPU limit, memory limit in bytes); a missing request is the limit."""
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    limit = milli_cpu(limits.get("cpu"))
    request = milli_cpu(requests.get("cpu")) if "cpu" in requests else limit
    return request, limit, byte_count(limits.get("memory"))


def pod_requests(pod: objects.Pod) -> dict[str, int]:
    """Milli CPU, bytes of memory and of ephemeral storage that the pod asks for.

    Containers and sidecars summed, or one init container if that is more, plus overhead.
    """
    total = {"cpu": 0, "memory": 0, "ephemeral-storage": 0}
    peak = dict(total)
    for container in objects.containers(pod):
        _add(total, _requests(container))
    sidecars = dict.fromkeys(total, 0)
    for container in objects.init_containers(pod):
        wanted = _requests(container)
        if objects.is_sidecar(container):
            _add(sidecars, wanted)
            wanted = dict.fromkeys(total, 0)
        for resource in peak:
            peak[resource] = max(peak[resource], sidecars[resource] + wanted[resource])
    _add(total, sidecars)
    for resource in total:
        total[resource] = max(total[resource], peak[resource])
    overhead = pod["spec"].get("overhead") or {}
    _add(total, {"cpu": milli_cpu(overhead.get("cpu")), "memory": byte_count(overhead.get("memory"))})
    return total


def _requests(container: objects.Container) -> dict[str, int]:
    resources = container.get("resources") or {}
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {
        "cpu": milli_cpu(wanted.get("cpu")),
        "memory": byte_count(wanted.get("memory")),
        "ephemeral-storage": byte_count(wanted.get("ephemeral-storage")),
    }


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for resource, value in more.items():
        total[resource] += value


def pod_limits(pod: objects.Pod) -> tuple[int, int]:
    """(milli CPU, bytes) that the pod's cgroup is held to; 0 where some container has no limit."""
    cpu = memory = 0
    cpu_open = memory_open = False
    for container in objects.containers(pod):
        _, limit, memory_limit = container_figures(container)
        cpu, memory = cpu + limit, memory + memory_limit
        cpu_open, memory_open = cpu_open or not limit, memory_open or not memory_limit
    for container in objects.init_containers(pod):
        _, limit, memory_limit = container_figures(container)
        cpu_open, memory_open = cpu_open or not limit, memory_open or not memory_limit
        cpu, memory = max(cpu, limit), max(memory, memory_limit)
    return (0 if cpu_open else cpu), (0 if memory_open else memory)


def oom_score_adj(pod: objects.Pod, container: objects.Container, memory_capacity: int) -> int:
    """Upstream's qos.GetContainerOOMScoreAdjust."""
    if (pod["spec"].get("priority") or 0) >= 2_000_001_000:
        return -997
    qos = objects.qos_class(pod)
    if qos == "Guaranteed":
        return -997
    if qos == "BestEffort" or not memory_capacity:
        return 1000
    request = byte_count(((container.get("resources") or {}).get("requests") or {}).get("memory"))
    value = 1000 - 1000 * request // memory_capacity
    return min(999, max(3, value))

"""What the kubelet counts about itself: counters and histograms with upstream's names (pkg/kubelet/metrics)."""

from bisect import bisect_left

from cka_kubelet.kube.exposition import Sample, family

DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
START_BUCKETS = (
    0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600,
)  # fmt: skip


class Counter:
    """Only grows. `labels` names the label values that `add` takes; without labels it is shown from 0 on."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...] = ()) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._values: dict[tuple[str, ...], int] = {} if labels else {(): 0}

    def add(self, *values: str) -> None:
        """One more."""
        self._values[values] = self._values.get(values, 0) + 1

    def render(self) -> str:
        """The family; "" while it has no sample."""
        found = [Sample(dict(zip(self._labels, key, strict=True)), n) for key, n in sorted(self._values.items())]
        return family(self._name, "counter", self._text, found)


class Histogram:
    """How often values fell into which bucket."""

    def __init__(
        self, name: str, text: str, labels: tuple[str, ...] = (), buckets: tuple[float, ...] = DEFAULT_BUCKETS
    ) -> None:
        self._name, self._text, self._labels, self._buckets = name, text, labels, buckets
        self._values: dict[tuple[str, ...], list[float]] = {} if labels else {(): self._empty()}

    def _empty(self) -> list[float]:
        return [0.0] * (len(self._buckets) + 2)

    def add(self, value: float, *labels: str) -> None:
        """One more observation."""
        found = self._values.setdefault(labels, self._empty())
        found[bisect_left(self._buckets, value)] += 1
        found[-1] += value

    def render(self) -> str:
        """The family, its buckets cumulative; "" while it has no sample."""
        found = []
        for key, counts in sorted(self._values.items()):
            labels = dict(zip(self._labels, key, strict=True))
            total = 0.0
            for bound, count in zip((*self._buckets, None), counts[:-1], strict=True):
                total += count
                limit = "+Inf" if bound is None else f"{bound:g}"
                found.append(Sample({**labels, "le": limit}, total, suffix="_bucket"))
            found += [Sample(labels, counts[-1], suffix="_sum"), Sample(labels, total, suffix="_count")]
        return family(self._name, "histogram", self._text, found)


_OPERATION = ("operation_type",)
_POD_START = "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run"
_WORKER = "Duration in seconds to sync a single pod. Broken down by operation type: create, update, or sync"
_SANDBOX = "Duration in seconds of the run_podsandbox operations. Broken down by RuntimeClass.Handler."

runtime_operations = Counter(
    "kubelet_runtime_operations_total",
    "[ALPHA] Cumulative number of runtime operations by operation type.",
    _OPERATION,
)
runtime_errors = Counter(
    "kubelet_runtime_operations_errors_total",
    "[ALPHA] Cumulative number of runtime operation errors by operation type.",
    _OPERATION,
)
runtime_seconds = Histogram(
    "kubelet_runtime_operations_duration_seconds",
    "[ALPHA] Duration in seconds of runtime operations. Broken down by operation type.",
    _OPERATION,
    tuple(0.005 * 2.5**n for n in range(14)),
)
sandbox_seconds = Histogram("kubelet_run_podsandbox_duration_seconds", f"[ALPHA] {_SANDBOX}", ("runtime_handler",))
relist_seconds = Histogram(
    "kubelet_pleg_relist_duration_seconds", "[ALPHA] Duration in seconds for relisting pods in PLEG."
)
relist_interval = Histogram(
    "kubelet_pleg_relist_interval_seconds", "[ALPHA] Interval in seconds between relisting in PLEG."
)
worker_seconds = Histogram("kubelet_pod_worker_duration_seconds", f"[ALPHA] {_WORKER}", _OPERATION)
pod_start_seconds = Histogram("kubelet_pod_start_duration_seconds", f"[ALPHA] {_POD_START}", (), START_BUCKETS)
started_pods = Counter("kubelet_started_pods_total", "[ALPHA] Cumulative number of pods started")
started_pods_errors = Counter(
    "kubelet_started_pods_errors_total", "[ALPHA] Cumulative number of errors when starting pods"
)
started_containers = Counter(
    "kubelet_started_containers_total", "[ALPHA] Cumulative number of containers started", ("container_type",)
)
started_containers_errors = Counter(
    "kubelet_started_containers_errors_total",
    "[ALPHA] Cumulative number of errors when starting containers",
    ("container_type", "code"),
)
evictions = Counter(
    "kubelet_evictions", "[ALPHA] Cumulative number of pod evictions by eviction signal", ("eviction_signal",)
)
images_collected = Counter(
    "kubelet_image_garbage_collected_total",
    "[ALPHA] Total number of images garbage collected by the kubelet, whether through disk usage or image age.",
    ("reason",),
)
http_requests = Counter(
    "kubelet_http_requests_total",
    "[ALPHA] Number of the http requests received since the server started",
    ("long_running", "method", "path", "server_type"),
)
http_seconds = Histogram(
    "kubelet_http_requests_duration_seconds",
    "[ALPHA] Duration in seconds to serve http requests",
    ("long_running", "method", "path", "server_type"),
)

EVERY: tuple[Counter | Histogram, ...] = (
    runtime_operations, runtime_errors, runtime_seconds, sandbox_seconds, relist_seconds, relist_interval,
    worker_seconds, pod_start_seconds, started_pods, started_pods_errors, started_containers,
    started_containers_errors, evictions, images_collected, http_requests, http_seconds,
)  # fmt: skip

# Upstream's names of CRI calls where they are not the call's own in snake case.
_OPERATIONS = {
    "RunPodSandbox": "run_podsandbox", "StopPodSandbox": "stop_podsandbox", "RemovePodSandbox": "remove_podsandbox",
    "PodSandboxStatus": "podsandbox_status", "ListPodSandbox": "list_podsandbox",
    "PodSandboxStats": "podsandbox_stats", "ListPodSandboxStats": "list_podsandbox_stats",
    "UpdateContainerResources": "update_container", "ImageFsInfo": "image_fs_info",
}  # fmt: skip


def runtime_call(method: str, seconds: float, failed: bool) -> None:
    """One CRI call has ended."""
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in method).strip("_")
    operation = _OPERATIONS.get(method, snake)
    runtime_operations.add(operation)
    runtime_seconds.add(seconds, operation)
    if failed:
        runtime_errors.add(operation)
    if method == "RunPodSandbox":
        started_pods.add()
        sandbox_seconds.add(seconds, "")
        if failed:
            started_pods_errors.add()


def render() -> str:
    """Everything that was counted."""
    return "".join(each.render() for each in EVERY)

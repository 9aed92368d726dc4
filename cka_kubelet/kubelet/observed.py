"""What the kubelet counts about itself, under upstream's names (pkg/kubelet/metrics and the libraries it is made of).

Counting is all that happens here: texts and pages are `server/helptexts.py` and `server/kubeletpage.py`, which only a
node that is scraped loads. A family is here because its values are measured here. Those of the Go runtime (go_*), of
packages that upstream's binary merely links in (aggregator_*, apiserver_audit_*, etcd_*…) and of what this kubelet does
not have (device plugins, pod resources, dynamic resource allocation) have no true value, and are absent.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator

from cka_kubelet.kube.exposition import Sample

DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
START_BUCKETS = (
    0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600,
)  # fmt: skip
_PULL_BUCKETS = (1, 5, 10, 20, 30, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600)
_CLIENT_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
_SIZE_BUCKETS = (64, 256, 512, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216)
_STORAGE_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 25, 50, 120, 300, 600)
_REVIEW_BUCKETS = (0.25, 0.5, 0.7, 1, 1.5, 3, 5, 10)
_RESIZE_BUCKETS = (10, 50, 100, 500, 1000, 2000, 5000, 10000, 20000, 30000, 60000, 120000, 300000, 600000)

Labels = tuple[str, ...]


class Counter:
    """Only grows. `labels` names the label values that `add` takes; without labels it is shown from 0 on."""

    kind = "counter"

    def __init__(self, name: str, labels: Labels = ()) -> None:
        self.name, self._labels = name, labels
        self._values: dict[Labels, float] = {} if labels else {(): 0}

    def add(self, *values: str, amount: float = 1) -> None:
        """So many more."""
        self._values[values] = self._values.get(values, 0) + amount

    def samples(self) -> Iterator[Sample]:
        """One for each set of label values seen."""
        for key, value in sorted(self._values.items()):
            yield Sample(dict(zip(self._labels, key, strict=True)), value)


class Gauge(Counter):
    """Goes up and down."""

    kind = "gauge"

    def set(self, value: float, *values: str) -> None:
        """So much now."""
        self._values[values] = value


class Histogram:
    """How often values fell into which bucket."""

    kind = "histogram"

    def __init__(self, name: str, labels: Labels = (), buckets: tuple[float, ...] = DEFAULT_BUCKETS) -> None:
        self.name, self._labels, self._buckets = name, labels, buckets
        self._values: dict[Labels, list[float]] = {} if labels else {(): self._empty()}

    def _empty(self) -> list[float]:
        return [0.0] * (len(self._buckets) + 2)

    def add(self, value: float, *labels: str) -> None:
        """One more observation."""
        found = self._values.get(labels) or self._values.setdefault(labels, self._empty())
        found[bisect_left(self._buckets, value)] += 1
        found[-1] += value

    def samples(self) -> Iterator[Sample]:
        """Cumulative buckets, sum and count for each set of label values seen."""
        for key, counts in sorted(self._values.items()):
            labels = dict(zip(self._labels, key, strict=True))
            total = 0.0
            for bound, count in zip((*self._buckets, None), counts[:-1], strict=True):
                total += count
                limit = "+Inf" if bound is None else f"{bound:g}"
                yield Sample({**labels, "le": limit}, total, suffix="_bucket")
            yield Sample(labels, counts[-1], suffix="_sum")
            yield Sample(labels, total, suffix="_count")


_OPERATION = ("operation_type",)
_REQUEST = ("long_running", "method", "path", "server_type")
_VERB_HOST = ("verb", "host")

runtime_operations = Counter("kubelet_runtime_operations_total", _OPERATION)
runtime_errors = Counter("kubelet_runtime_operations_errors_total", _OPERATION)
runtime_seconds = Histogram(
    "kubelet_runtime_operations_duration_seconds", _OPERATION, tuple(0.005 * 2.5**n for n in range(14))
)
sandbox_seconds = Histogram("kubelet_run_podsandbox_duration_seconds", ("runtime_handler",))
sandbox_errors = Counter("kubelet_run_podsandbox_errors_total", ("runtime_handler",))
relist_seconds = Histogram("kubelet_pleg_relist_duration_seconds")
relist_interval = Histogram("kubelet_pleg_relist_interval_seconds")
worker_seconds = Histogram("kubelet_pod_worker_duration_seconds", _OPERATION)
worker_start_seconds = Histogram("kubelet_pod_worker_start_duration_seconds")
pod_start_seconds = Histogram("kubelet_pod_start_duration_seconds", (), START_BUCKETS)
pod_start_total_seconds = Histogram("kubelet_pod_start_total_duration_seconds", (), START_BUCKETS)
pod_start_sli_seconds = Histogram("kubelet_pod_start_sli_duration_seconds", (), START_BUCKETS)
first_network_pod_seconds = Gauge("kubelet_first_network_pod_start_sli_duration_seconds")
status_sync_seconds = Histogram(
    "kubelet_pod_status_sync_duration_seconds", (), (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 20, 30, 45, 60)
)
containers_per_pod = Histogram("kubelet_containers_per_pod_count", (), (1, 2, 4, 8, 16))
cgroup_seconds = Histogram("kubelet_cgroup_manager_duration_seconds", _OPERATION)
started_pods = Counter("kubelet_started_pods_total")
started_pods_errors = Counter("kubelet_started_pods_errors_total")
started_user_pods = Counter("kubelet_started_user_namespaced_pods_total")
started_user_pods_errors = Counter("kubelet_started_user_namespaced_pods_errors_total")
started_containers = Counter("kubelet_started_containers_total", ("container_type",))
started_containers_errors = Counter("kubelet_started_containers_errors_total", ("container_type", "code"))
admission_rejections = Counter("kubelet_admission_rejections_total", ("reason",))
topology_requests = Counter("kubelet_topology_manager_admission_requests_total")
topology_errors = Counter("kubelet_topology_manager_admission_errors_total")
topology_milliseconds = Histogram(
    "kubelet_topology_manager_admission_duration_ms", (), tuple(0.05 * 2**n for n in range(15))
)
pinning_requests = Counter("kubelet_cpu_manager_pinning_requests_total")
pinning_errors = Counter("kubelet_cpu_manager_pinning_errors_total")
restarted_pods = Counter("kubelet_restarted_pods_total", ("static",))
orphaned_pods = Counter("kubelet_orphaned_runtime_pods_total")
orphans_cleaned = Gauge("kubelet_orphan_pod_cleaned_volumes")
orphans_failed = Gauge("kubelet_orphan_pod_cleaned_volumes_errors")
pleg_discards = Counter("kubelet_pleg_discard_events")
"""None: events here are looked up, not queued. The next ones need gates or policies that are off by default."""
evented_pleg_errors = Counter("kubelet_evented_pleg_connection_error_count")
evented_pleg_connections = Counter("kubelet_evented_pleg_connection_success_count")
evented_pleg_seconds = Histogram("kubelet_evented_pleg_connection_latency_seconds")
memory_pinning_requests = Counter("kubelet_memory_manager_pinning_requests_total")
memory_pinning_errors = Counter("kubelet_memory_manager_pinning_errors_total")
sleeps_cut = Counter("kubelet_sleep_action_terminated_early_total")
evictions = Counter("kubelet_evictions", ("eviction_signal",))
resize_milliseconds = Histogram("kubelet_pod_resize_duration_milliseconds", ("success",), _RESIZE_BUCKETS)
infeasible_resizes = Counter("kubelet_pod_infeasible_resizes_total", ("reason_detail",))
images_collected = Counter("kubelet_image_garbage_collected_total", ("reason",))
image_requests = Counter(
    "kubelet_image_manager_ensure_image_requests_total", ("pull_policy", "present_locally", "pull_required")
)
pull_seconds = Histogram("kubelet_image_pull_duration_seconds", ("image_size_in_bytes",), _PULL_BUCKETS)
image_volumes = Counter("kubelet_image_volume_requested_total")
image_volumes_mounted = Counter("kubelet_image_volume_mounted_succeed_total")
image_volumes_failed = Counter("kubelet_image_volume_mounted_errors_total")
http_requests = Counter("kubelet_http_requests_total", _REQUEST)
http_seconds = Histogram("kubelet_http_requests_duration_seconds", _REQUEST)
http_inflight = Gauge("kubelet_http_inflight_requests", _REQUEST)
node_startup = Gauge("kubelet_node_startup_duration_seconds")
node_startup_before = Gauge("kubelet_node_startup_pre_kubelet_duration_seconds")
node_startup_unregistered = Gauge("kubelet_node_startup_pre_registration_duration_seconds")
node_startup_registering = Gauge("kubelet_node_startup_registration_duration_seconds")
node_startup_registered = Gauge("kubelet_node_startup_post_registration_duration_seconds")
shutdown_began = Gauge("kubelet_graceful_shutdown_start_time_seconds")
shutdown_ended = Gauge("kubelet_graceful_shutdown_end_time_seconds")
volume_stats_seconds = Histogram("kubelet_volume_metric_collection_duration_seconds", ("metric_source",))
storage_seconds = Histogram(
    "storage_operation_duration_seconds",
    ("migrated", "operation_name", "status", "volume_plugin"),
    _STORAGE_BUCKETS,
)
csi_seconds = Histogram(
    "csi_operations_seconds", ("driver_name", "grpc_status_code", "method_name", "migrated"), _STORAGE_BUCKETS
)
client_requests = Counter("rest_client_requests_total", ("code", "method", "host"))
client_seconds = Histogram("rest_client_request_duration_seconds", _VERB_HOST, _CLIENT_BUCKETS)
client_sent = Histogram("rest_client_request_size_bytes", _VERB_HOST, _SIZE_BUCKETS)
client_received = Histogram("rest_client_response_size_bytes", _VERB_HOST, _SIZE_BUCKETS)
token_requests = Counter("authentication_token_cache_request_total", ("status",))
token_request_seconds = Histogram("authentication_token_cache_request_duration_seconds", ("status",))
token_fetches = Counter("authentication_token_cache_fetch_total", ("status",))
token_reviews = Counter("apiserver_delegated_authn_request_total", ("code",))
token_review_seconds = Histogram("apiserver_delegated_authn_request_duration_seconds", ("code",), _REVIEW_BUCKETS)
access_reviews = Counter("apiserver_delegated_authz_request_total", ("code",))
access_review_seconds = Histogram("apiserver_delegated_authz_request_duration_seconds", ("code",), _REVIEW_BUCKETS)
renew_errors = {
    "kubernetes.io/kube-apiserver-client-kubelet": Counter(
        "kubelet_certificate_manager_client_expiration_renew_errors"
    ),
    "kubernetes.io/kubelet-serving": Counter("kubelet_server_expiration_renew_errors"),
}
serving_rotation_seconds = Histogram(
    "kubelet_certificate_manager_server_rotation_seconds", (),
    (60, 3600, 14400, 86400, 604800, 2592000, 7776000, 15552000, 31104000, 124416000),
)  # fmt: skip

expiries: dict[str, float] = {}
"""When the certificate of each managed signer ends (seconds since the epoch, inf without one)."""

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


def sandbox_run(handler: str, user_namespace: bool, seconds: float, failed: bool) -> None:
    """A pod's sandbox was asked for (pkg/kubelet/kuberuntime)."""
    started_pods.add()
    sandbox_seconds.add(seconds, handler)
    if user_namespace:
        started_user_pods.add()
    if failed:
        started_pods_errors.add()
        sandbox_errors.add(handler)
        if user_namespace:
            started_user_pods_errors.add()


def client_call(method: str, host: str, code: str, seconds: float, sent: int, received: int | None) -> None:
    """A request to the API server was answered with `code`, or ended with an error, `<error>` (client-go rest)."""
    client_requests.add(code, method, host)
    client_seconds.add(seconds, method, host)
    client_sent.add(sent, method, host)
    if received is not None:
        client_received.add(received, method, host)


def certificate(signer: str, not_after: float | None) -> None:
    """A managed certificate is this one now."""
    expiries[signer] = math.inf if not_after is None else not_after


def every() -> Iterator[Counter | Histogram]:
    """All that can be seen on /metrics; what is for a serving certificate only where one is asked for."""
    for found in globals().values():
        if isinstance(found, Counter | Histogram) and found is not serving_rotation_seconds:
            yield found
    for signer, counter in renew_errors.items():
        if signer in expiries:
            yield counter
    if "kubernetes.io/kubelet-serving" in expiries:
        yield serving_rotation_seconds

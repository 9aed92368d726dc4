"""What `# HELP` says of each family (upstream 1.36's texts and stability levels)."""

_LEVELS = {
    "STABLE": """
container_cpu_usage_seconds_total
  Cumulative cpu time consumed by the container in core-seconds
container_memory_working_set_bytes
  Current working set of the container in bytes
container_start_time_seconds
  Start time of the container since unix epoch in seconds
kubernetes_healthcheck
  This metric records the result of a single healthcheck.
kubernetes_healthchecks_total
  This metric records the results of all healthcheck.
node_cpu_usage_seconds_total
  Cumulative cpu time consumed by the node in core-seconds
node_memory_working_set_bytes
  Current working set of the node in bytes
pod_cpu_usage_seconds_total
  Cumulative cpu time consumed by the pod in core-seconds
pod_memory_working_set_bytes
  Current working set of the pod in bytes
resource_scrape_error
  1 if there was an error while getting container metrics, 0 otherwise
""",
    "BETA": """
disabled_metrics_total
  The count of disabled metrics.
hidden_metrics_total
  The count of hidden metrics.
kubelet_image_volume_mounted_errors_total
  Number of failed image volume mounts.
kubelet_image_volume_mounted_succeed_total
  Number of successful image volume mounts.
kubelet_image_volume_requested_total
  Number of requested image volumes.
kubernetes_build_info
  A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree state, build date,
  Go version, and compiler from which Kubernetes was built, and platform on which it is running.
kubernetes_feature_enabled
  This metric records the data about the stage and enablement of a k8s feature.
prober_probe_total
  Cumulative number of a liveness, readiness or startup probe for a container by result.
registered_metrics_total
  The count of registered metrics broken by stability level and deprecation version.
""",
    "ALPHA": """
apiserver_delegated_authn_request_duration_seconds
  Request latency in seconds. Broken down by status code.
apiserver_delegated_authn_request_total
  Number of HTTP requests partitioned by status code.
apiserver_delegated_authz_request_duration_seconds
  Request latency in seconds. Broken down by status code.
apiserver_delegated_authz_request_total
  Number of HTTP requests partitioned by status code.
authentication_token_cache_fetch_total
authentication_token_cache_request_duration_seconds
authentication_token_cache_request_total

container_swap_limit_bytes
  Current amount of the container swap limit in bytes. Reported only on non-windows systems
container_swap_usage_bytes
  Current amount of the container swap usage in bytes. Reported only on non-windows systems
csi_operations_seconds
  Container Storage Interface operation duration with gRPC error code status total
kubelet_active_pods
  The number of pods the kubelet considers active and which are being considered when admitting new pods. static is
  true if the pod is not from the apiserver.
kubelet_admission_rejections_total
  Cumulative number pod admission rejections by the Kubelet.
kubelet_certificate_manager_client_expiration_renew_errors
  Counter of certificate renewal errors.
kubelet_certificate_manager_client_ttl_seconds
  Gauge of the TTL (time-to-live) of the Kubelet's client certificate. The value is in seconds until certificate
  expiry (negative if already expired). If client certificate is invalid or unused, the value will be +INF.
kubelet_certificate_manager_server_rotation_seconds
  Histogram of the number of seconds the previous certificate lived before being rotated.
kubelet_certificate_manager_server_ttl_seconds
  Gauge of the shortest TTL (time-to-live) of the Kubelet's serving certificate. The value is in seconds until
  certificate expiry (negative if already expired). If serving certificate is invalid or unused, the value will be
  +INF.
kubelet_cgroup_manager_duration_seconds
  Duration in seconds for cgroup manager operations. Broken down by method.
kubelet_cgroup_version
  cgroup version on the hosts.
kubelet_container_log_filesystem_used_bytes
  Bytes used by the container's logs on the filesystem.
kubelet_containers_per_pod_count
  The number of containers per pod.
kubelet_cpu_manager_allocation_per_numa
  Number of CPUs allocated per NUMA node
kubelet_cpu_manager_exclusive_cpu_allocation_count
  The total number of CPUs exclusively allocated to containers running on this node
kubelet_cpu_manager_pinning_errors_total
  The number of cpu core allocations which required pinning failed.
kubelet_cpu_manager_pinning_requests_total
  The number of cpu core allocations which required pinning.
kubelet_cpu_manager_shared_pool_size_millicores
  The size of the shared CPU pool for non-guaranteed QoS pods, in millicores.
kubelet_desired_pods
  The number of pods the kubelet is being instructed to run. static is true if the pod is not from the apiserver.
kubelet_evented_pleg_connection_error_count
  The number of errors encountered during the establishment of streaming connection with the CRI runtime.
kubelet_evented_pleg_connection_latency_seconds
  The latency of streaming connection with the CRI runtime, measured in seconds.
kubelet_evented_pleg_connection_success_count
  The number of times a streaming client was obtained to receive CRI Events.
kubelet_evictions
  Cumulative number of pod evictions by eviction signal
kubelet_graceful_shutdown_end_time_seconds
  Last graceful shutdown end time since unix epoch in seconds
kubelet_graceful_shutdown_start_time_seconds
  Last graceful shutdown start time since unix epoch in seconds
kubelet_http_inflight_requests
  Number of the inflight http requests
kubelet_http_requests_duration_seconds
  Duration in seconds to serve http requests
kubelet_http_requests_total
  Number of the http requests received since the server started
kubelet_image_garbage_collected_total
  Total number of images garbage collected by the kubelet, whether through disk usage or image age.
kubelet_image_manager_ensure_image_requests_total
  Number of ensure-image requests processed by the kubelet.
kubelet_image_pull_duration_seconds
  Duration in seconds to pull an image.
kubelet_managed_ephemeral_containers
  Current number of ephemeral containers in pods managed by this kubelet.
kubelet_memory_manager_pinning_errors_total
  The number of memory pages allocations which required pinning that failed.
kubelet_memory_manager_pinning_requests_total
  The number of memory pages allocations which required pinning.
kubelet_metrics_provider
  Metrics provider used by kubelet to collect container stats. Values can be 'cadvisor' and 'cri'
kubelet_mirror_pods
  The number of mirror pods the kubelet will try to create (one per admitted static pod)
kubelet_node_name
  The node's name. The count is always 1.
kubelet_node_startup_duration_seconds
  Duration in seconds of node startup in total.
kubelet_node_startup_post_registration_duration_seconds
  Duration in seconds of node startup after registration.
kubelet_node_startup_pre_kubelet_duration_seconds
  Duration in seconds of node startup before kubelet starts.
kubelet_node_startup_pre_registration_duration_seconds
  Duration in seconds of node startup before registration.
kubelet_node_startup_registration_duration_seconds
  Duration in seconds of node startup during registration.
kubelet_orphan_pod_cleaned_volumes
  The total number of orphaned Pods whose volumes were cleaned in the last periodic sweep.
kubelet_orphan_pod_cleaned_volumes_errors
  The number of orphaned Pods whose volumes failed to be cleaned in the last periodic sweep.
kubelet_orphaned_runtime_pods_total
  Number of pods that have been detected in the container runtime without being already known to the pod worker.
  This typically indicates the kubelet was restarted while a pod was force deleted in the API or in the local
  configuration, which is unusual.
kubelet_pleg_discard_events
  The number of discard events in PLEG.
kubelet_pleg_last_seen_seconds
  Timestamp in seconds when PLEG was last seen active.
kubelet_pleg_relist_duration_seconds
  Duration in seconds for relisting pods in PLEG.
kubelet_pleg_relist_interval_seconds
  Interval in seconds between relisting in PLEG.
kubelet_pod_in_progress_resizes
  Number of in-progress resizes for pods.
kubelet_pod_infeasible_resizes_total
  Number of infeasible resizes for pods.
kubelet_pod_pending_resizes
  Number of pending resizes for pods.
kubelet_pod_resize_duration_milliseconds
  Duration in milliseconds to actuate a pod resize
kubelet_pod_start_duration_seconds
  Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run
kubelet_pod_start_sli_duration_seconds
  Duration in seconds to start a pod, excluding time to pull images and run init containers, measured from pod
  creation timestamp to when all its containers are reported as started and observed via watch
kubelet_pod_start_total_duration_seconds
  Duration in seconds to start a pod since creation, including time to pull images and run init containers, measured
  from pod creation timestamp to when all its containers are reported as started and observed via watch
kubelet_pod_status_sync_duration_seconds
  Duration in seconds to sync a pod status update. Measures time from detection of a change to pod status until the
  API is successfully updated for that pod, even if multiple intevening changes to pod status occur.
kubelet_pod_worker_duration_seconds
  Duration in seconds to sync a single pod. Broken down by operation type: create, update, or sync
kubelet_pod_worker_start_duration_seconds
  Duration in seconds from kubelet seeing a pod to starting a worker.
kubelet_restarted_pods_total
  Number of pods that have been restarted because they were deleted and recreated with the same UID while the
  kubelet was watching them (common for static pods, extremely uncommon for API pods)
kubelet_run_podsandbox_duration_seconds
  Duration in seconds of the run_podsandbox operations. Broken down by RuntimeClass.Handler.
kubelet_run_podsandbox_errors_total
  Cumulative number of the run_podsandbox operation errors by RuntimeClass.Handler.
kubelet_running_containers
  Number of containers currently running
kubelet_running_pods
  Number of pods that have a running pod sandbox
kubelet_runtime_operations_duration_seconds
  Duration in seconds of runtime operations. Broken down by operation type.
kubelet_runtime_operations_errors_total
  Cumulative number of runtime operation errors by operation type.
kubelet_runtime_operations_total
  Cumulative number of runtime operations by operation type.
kubelet_server_expiration_renew_errors
  Counter of certificate renewal errors.
kubelet_sleep_action_terminated_early_total
  The number of times lifecycle sleep handler got terminated before it finishes
kubelet_started_containers_errors_total
  Cumulative number of errors when starting containers
kubelet_started_containers_total
  Cumulative number of containers started
kubelet_started_pods_errors_total
  Cumulative number of errors when starting pods
kubelet_started_pods_total
  Cumulative number of pods started
kubelet_started_user_namespaced_pods_errors_total
  Cumulative number of errors when starting pods with user namespaces. This metric will only be collected on Linux.
kubelet_started_user_namespaced_pods_total
  Cumulative number of pods with user namespaces started. This metric will only be collected on Linux.
kubelet_topology_manager_admission_duration_ms
  Duration in milliseconds to serve a pod admission request.
kubelet_topology_manager_admission_errors_total
  The number of admission request failures where resources could not be aligned.
kubelet_topology_manager_admission_requests_total
  The number of admission requests where resources have to be aligned.
kubelet_volume_metric_collection_duration_seconds
  Duration in seconds to calculate volume stats
kubelet_volume_stats_available_bytes
  Number of available bytes in the volume
kubelet_volume_stats_capacity_bytes
  Capacity in bytes of the volume
kubelet_volume_stats_inodes
  Maximum number of inodes in the volume
kubelet_volume_stats_inodes_free
  Number of free inodes in the volume
kubelet_volume_stats_inodes_used
  Number of used inodes in the volume
kubelet_volume_stats_used_bytes
  Number of used bytes in the volume
kubelet_working_pods
  Number of pods the kubelet is actually running, broken down by lifecycle phase, whether the pod is desired,
  orphaned, or runtime only (also orphaned), and whether the pod is static. An orphaned pod has been removed from
  local configuration or force deleted in the API and consumes resources that are not otherwise visible.
node_swap_usage_bytes
  Current swap usage of the node in bytes. Reported only on non-windows systems
plugin_manager_total_plugins
  Number of plugins in Plugin Manager
pod_swap_usage_bytes
  Current amount of the pod swap usage in bytes. Reported only on non-windows systems
rest_client_exec_plugin_ttl_seconds
  Gauge of the shortest TTL (time-to-live) of the client certificate(s) managed by the auth exec plugin. The value
  is in seconds until certificate expiry (negative if already expired). If auth exec plugins are unused or manage no
  TLS certificates, the value will be +INF.
rest_client_request_duration_seconds
  Request latency in seconds. Broken down by verb, and host.
rest_client_request_size_bytes
  Request size in bytes. Broken down by verb and host.
rest_client_requests_total
  Number of HTTP requests, partitioned by status code, method, and host.
rest_client_response_size_bytes
  Response size in bytes. Broken down by verb and host.
storage_operation_duration_seconds
  Storage operation duration
volume_manager_total_volumes
  Number of volumes in Volume Manager
""",
    "INTERNAL": """
kubelet_first_network_pod_start_sli_duration_seconds
  Duration in seconds to start the first network pod, excluding time to pull images and run init containers,
  measured from pod creation timestamp to when all its containers are reported as started and observed via watch
""",
}


def _texts() -> dict[str, str]:
    found = {}
    for level, block in _LEVELS.items():
        for entry in block.strip().replace("\n  ", " ").replace("\n ", "\n").splitlines():
            name, _, text = entry.partition(" ")
            found[name] = f"[{level}] {text}"
    return found


TEXTS = _texts()
"""The text of each family that Kubernetes' own registry serves, its level in front, by name."""

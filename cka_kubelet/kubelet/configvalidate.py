"""Upstream's ValidateKubeletConfiguration: its checks in its order, with its messages (apis/config/validation)."""

import posixpath
from collections.abc import Iterator
from typing import Any

from cka_kubelet.kube.gofmt import format_duration, join_errors, quote
from cka_kubelet.kubelet import cpuset
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.featuregates import enabled
from cka_kubelet.kubelet.logsettings import logging_problems
from cka_kubelet.kubelet.taints import invalid_taints
from cka_kubelet.kubelet.version import VERSION

_POLICIES = ("none", "best-effort", "restricted", "single-numa-node")
_HAIRPIN = ("none", "hairpin-veth", "promiscuous-bridge")
_VERIFY = ("NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify")
_RESERVED = {
    "system-reserved": ("systemReservedCgroup", "system-reserved-cgroup"),
    "kube-reserved": ("kubeReservedCgroup", "kube-reserved-cgroup"),
}
_ENFORCEMENTS = (
    "pods", "system-reserved", "system-reserved-compressible", "kube-reserved", "kube-reserved-compressible", "none"
)  # fmt: skip
_CGROUP_V1 = (
    "kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed "
    "in a future release"
)
_ENFORCE = "enforceNodeAllocatable (--enforce-node-allocatable)"


def _go_list(words: tuple[str, ...]) -> str:
    return "[" + " ".join(quote(word) for word in words) + "]"


def _span(config: KubeletConfiguration, field: str) -> str:
    """How `%v` shows a metav1.Duration."""
    return f"{{{format_duration(config.duration(field))}}}"


def _not_negative(config: KubeletConfiguration, field: str, flag: str) -> Iterator[str]:
    value = config.get(field) or 0
    if value < 0:
        yield f"{field} (--{flag}) {value} must not be a negative number"


def _within(
    config: KubeletConfiguration, field: str, flag: str, low: int, high: int, *, zero: bool = False, shown: int = -1
) -> Iterator[str]:
    """`zero`: that value is fine too; `shown`: the lower bound the message gives when it is another one."""
    value = config.get(field) or 0
    if not low <= value <= high and not (zero and value == 0):
        yield f"{field} (--{flag}) {value} must be between {low if shown < 0 else shown} and {high}, inclusive"


def _first(config: KubeletConfiguration) -> Iterator[str]:
    if config["nodeLeaseDurationSeconds"] <= 0:
        yield "nodeLeaseDurationSeconds must be greater than 0"
    if config.get("systemCgroups") and not config.get("cgroupRoot"):
        yield "systemCgroups (--system-cgroups) was specified and cgroupRoot (--cgroup-root) was not specified"
    yield from _not_negative(config, "eventBurst", "event-burst")
    yield from _not_negative(config, "eventRecordQPS", "event-qps")
    yield from _within(config, "healthzPort", "healthz-port", 1, 65535, zero=True)
    if not 0.001 <= config.duration("cpuCFSQuotaPeriod") <= 1:
        shown = _span(config, "cpuCFSQuotaPeriod")
        yield f"cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {shown} must be between 1ms and 1sec, inclusive"


def _images(config: KubeletConfiguration) -> Iterator[str]:
    low, high = "imageGCLowThresholdPercent", "imageGCHighThresholdPercent"
    yield from _within(config, high, "image-gc-high-threshold", 0, 100)
    yield from _within(config, low, "image-gc-low-threshold", 0, 100)
    if config[low] >= config[high]:
        yield (
            f"{low} (--image-gc-low-threshold) {config[low]} must be less than "
            f"{high} (--image-gc-high-threshold) {config[high]}"
        )
    most, least = config.duration("imageMaximumGCAge"), config.duration("imageMinimumGCAge")
    if most and not enabled(config, "ImageMaximumGCAge"):
        yield "ImageMaximumGCAge feature gate is required for Kubelet configuration option imageMaximumGCAge"
    if least < 0:
        yield f"imageMinimumGCAge {format_duration(least)} must not be negative"
    if most < 0:
        yield f"imageMaximumGCAge {format_duration(most)} must not be negative"
    if 0 < most <= least:
        yield (
            f"imageMaximumGCAge {format_duration(most)} must be greater than imageMinimumGCAge {format_duration(least)}"
        )


def _limits(config: KubeletConfiguration) -> Iterator[str]:
    yield from _within(config, "iptablesDropBit", "iptables-drop-bit", 0, 31)
    yield from _within(config, "iptablesMasqueradeBit", "iptables-masquerade-bit", 0, 31)
    yield from _not_negative(config, "kubeAPIBurst", "kube-api-burst")
    yield from _not_negative(config, "kubeAPIQPS", "kube-api-qps")
    if config["nodeStatusMaxImages"] < -1:
        yield f"nodeStatusMaxImages (--node-status-max-images) {config['nodeStatusMaxImages']} must be -1 or greater"
    yield from _not_negative(config, "maxOpenFiles", "max-open-files")
    yield from _not_negative(config, "maxPods", "max-pods")
    yield from _within(config, "oomScoreAdj", "oom-score-adj", -1000, 1000)
    yield from _not_negative(config, "podsPerCore", "pods-per-core")
    yield from _within(config, "port", "port", 1, 65535)
    yield from _within(config, "readOnlyPort", "read-only-port", 1, 65535, zero=True, shown=0)
    yield from _not_negative(config, "registryBurst", "registry-burst")
    yield from _not_negative(config, "registryPullQPS", "registry-qps")
    pulls = config.get("maxParallelImagePulls")
    if pulls is not None and pulls < 1:
        yield f"maxParallelImagePulls {pulls} must be a positive number"
    if config["serializeImagePulls"] and (pulls or 1) > 1:
        yield (
            "maxParallelImagePulls cannot be larger than 1 unless SerializeImagePulls (--serialize-image-pulls) "
            "is set to false"
        )
    if config.get("serverTLSBootstrap") and not enabled(config, "RotateKubeletServerCertificate"):
        yield "serverTLSBootstrap true requires feature gate RotateKubeletServerCertificate"
    if config.get("runOnce"):
        yield "runOnce (--runOnce) true, Runonce mode has been deprecated and should not be set"


def _topology(config: KubeletConfiguration) -> Iterator[str]:
    policy, scope = config["topologyManagerPolicy"], config["topologyManagerScope"]
    if policy not in _POLICIES:
        yield f"topologyManagerPolicy (--topology-manager-policy) {quote(policy)} must be one of: {_go_list(_POLICIES)}"
    if scope not in ("container", "pod"):
        yield f'topologyManagerScope (--topology-manager-scope) {quote(scope)} must be one of: "container", or "pod"'


def _shutdown(config: KubeletConfiguration) -> Iterator[str]:
    total, critical = config.duration("shutdownGracePeriod"), config.duration("shutdownGracePeriodCriticalPods")
    by_priority = config.get("shutdownGracePeriodByPodPriority") or []
    if not enabled(config, "GracefulNodeShutdown"):
        if total > 0 or critical > 0:
            yield (
                "specifying shutdownGracePeriod or shutdownGracePeriodCriticalPods requires feature gate "
                "GracefulNodeShutdown"
            )
    else:
        if critical > total:
            yield (
                f"shutdownGracePeriodCriticalPods {_span(config, 'shutdownGracePeriodCriticalPods')} must be <= "
                f"shutdownGracePeriod {_span(config, 'shutdownGracePeriod')}"
            )
        for field, value in (("shutdownGracePeriod", total), ("shutdownGracePeriodCriticalPods", critical)):
            if value < 0 or 0 < value < 1:
                yield f"{field} {_span(config, field)} must be either zero or otherwise >= 1 sec"
    if by_priority and not enabled(config, "GracefulNodeShutdownBasedOnPodPriority"):
        yield (
            "Specifying shutdownGracePeriodByPodPriority requires feature gate GracefulNodeShutdownBasedOnPodPriority"
        )
    elif by_priority and (total > 0 or critical > 0):
        yield "Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the same time"


def _restarts_and_swap(config: KubeletConfiguration) -> Iterator[str]:
    behavior = config["memorySwap"].get("swapBehavior") or ""
    if behavior not in ("", "NoSwap", "LimitedSwap"):
        yield f'memorySwap.swapBehavior {quote(behavior)} must be one of: "", "LimitedSwap" or "NoSwap"'
    restart = config.duration("crashLoopBackOff.maxContainerRestartPeriod")
    if not 1 <= restart <= 300:
        yield f"CrashLoopBackOff.MaxContainerRestartPeriod (got: {restart:g} seconds) must be set between 1s and 300s"


def _enforcement(config: KubeletConfiguration, option: str, others: int) -> Iterator[str]:
    """What is wrong with one word of enforceNodeAllocatable; `others`: how many more there are."""
    if option == "none":
        if others:
            yield f'{_ENFORCE} may not contain additional enforcements when "none" is specified'
        return
    if option not in _ENFORCEMENTS:
        *most, last = map(quote, _ENFORCEMENTS)
        yield f"option {quote(option)} specified for {_ENFORCE}. Valid options are {', '.join(most)} or {last}"
        return
    group = option.removesuffix("-compressible")
    if group in _RESERVED and not config.get(_RESERVED[group][0]):
        field, flag = _RESERVED[group]
        both = f"{quote(group)} or {quote(group + '-compressible')}"
        yield f"{field} (--{flag}) must be specified when {both} included in {_ENFORCE}"
    if not config["cgroupsPerQOS"]:
        yield f"cgroupsPerQOS (--cgroups-per-qos) must be set to true when {quote(option)} contained in {_ENFORCE}"


def _allocatable(config: KubeletConfiguration) -> Iterator[str]:
    chosen = [str(option) for option in config.get("enforceNodeAllocatable") or []]
    for group in _RESERVED:
        if group in chosen and f"{group}-compressible" in chosen:
            yield f"both {quote(group)} and {quote(group + '-compressible')} cannot be specified together in {_ENFORCE}"
    for index, option in enumerate(chosen):
        if option in chosen[:index]:
            yield f"duplicated enforcements {quote(option)} in {_ENFORCE}"
        else:
            yield from _enforcement(config, option, len(chosen) - 1)


def _choices(config: KubeletConfiguration) -> Iterator[str]:
    if config["hairpinMode"] not in _HAIRPIN:
        mode = quote(config["hairpinMode"])
        yield (
            f"option {mode} specified for hairpinMode (--hairpin-mode). Valid options are "
            '"none", "hairpin-veth" or "promiscuous-bridge"'
        )
    policy = config["imagePullCredentialsVerificationPolicy"]
    if policy not in _VERIFY:
        yield (
            f"option {quote(policy)} specified for imagePullCredentialsVerificationPolicy. Valid options are "
            f"{', '.join(map(quote, _VERIFY[:3]))} or {quote(_VERIFY[3])}"
        )
    if config.get("preloadedImagesVerificationAllowlist") and policy != "NeverVerifyAllowlistedImages":
        yield (
            "can't set `preloadedImagesVerificationAllowlist` if `imagePullCredentialsVertificationPolicy` is not "
            '"NeverVerifyAllowlistedImages"'
        )
    reserved = config.get("reservedSystemCPUs")
    if reserved:
        if config.get("systemReservedCgroup") or config.get("kubeReservedCgroup"):
            yield (
                "can't use reservedSystemCPUs (--reserved-cpus) with systemReservedCgroup (--system-reserved-cgroup) "
                "or kubeReservedCgroup (--kube-reserved-cgroup)"
            )
        try:
            cpuset.parse(reserved)
        except ValueError as error:
            yield f"unable to parse reservedSystemCPUs (--reserved-cpus) {reserved}, error: {error}"


def _reserved_memory(config: KubeletConfiguration) -> Iterator[str]:
    from cka_kubelet.kube import quantity

    seen: set[tuple[int, str]] = set()
    for entry in config.get("reservedMemory") or []:
        node = int(entry.get("numaNode") or 0)
        for name, amount in (entry.get("limits") or {}).items():
            if name != "memory" and not name.startswith("hugepages-"):
                yield (
                    f"the limit type {quote(name)} for NUMA node {node} is not supported, only "
                    "[memory hugepages-<HugePageSize>] is accepted"
                )
            if quantity.parse(str(amount)).nanos == 0:
                yield f"reserved memory may not be zero for NUMA node {node} and resource {quote(name)}"
            if (node, name) in seen:
                yield f"the reserved memory has a duplicate value for NUMA node {node} and resource {quote(name)}"
            seen.add((node, name))


def _last(config: KubeletConfiguration) -> Iterator[str]:
    factor = config["memoryThrottlingFactor"]
    if not 0 < factor <= 1:
        yield f"memoryThrottlingFactor {factor:g} must be greater than 0 and less than or equal to 1.0"
    policy = config["memoryReservationPolicy"]
    if policy == "TieredReservation" and not enabled(config, "MemoryQoS"):
        yield f"memoryReservationPolicy {quote(policy)} requires MemoryQoS feature gate to be enabled"
    if policy not in ("None", "TieredReservation"):
        yield (
            f"option {quote(policy)} specified for memoryReservationPolicy. Valid options are "
            '"None" or "TieredReservation"'
        )
    if config.get("enableSystemLogQuery") and not config["enableSystemLogHandler"]:
        yield "enableSystemLogHandler is required for enableSystemLogQuery"
    if config["containerLogMaxWorkers"] < 1:
        yield "containerLogMaxWorkers must be greater than or equal to 1"
    if config.duration("containerLogMonitorInterval") < 3:
        yield "containerLogMonitorInterval must be a positive time duration greater than or equal to 3s"
    if config["containerLogMaxFiles"] <= 1:
        yield "containerLogMaxFiles must be greater than 1"
    path = str(config["podLogsDir"])
    if not path.startswith("/"):
        yield f"pod logs path {quote(path)} must be absolute path"
    if posixpath.normpath(path) != path:
        yield f"pod logs path {quote(path)} must be normalized"
    if not path.isascii():
        yield f"pod logs path {quote(path)} mut contains ASCII characters only"


def _operating_system(config: KubeletConfiguration, cgroup_version: int) -> Iterator[str]:
    if cgroup_version != 1:
        return
    if config["failCgroupV1"]:
        yield _CGROUP_V1
    elif config.get("singleProcessOOMKill") is False:
        yield "invalid configuration: singleProcessOOMKill must not be explicitly set to false when using cgroup v1"


def _hidden_metrics(config: KubeletConfiguration) -> Iterator[str]:
    asked = config.get("showHiddenMetricsForVersion")
    major, minor = VERSION.lstrip("v").split(".")[:2]
    allowed = f"{major}.{int(minor) - 1}"
    if asked and asked != allowed:
        yield (
            f"--show-hidden-metrics-for-version must be omitted or have the value '{allowed}'. "
            "Only the previous minor version is allowed"
        )


def _tracing(tracing: dict[str, Any] | None) -> Iterator[str]:
    rate = (tracing or {}).get("samplingRatePerMillion")
    if rate is not None and rate < 0:
        yield f"tracing.samplingRatePerMillion: Invalid value: {rate}: sampling rate must be positive"
    if rate is not None and rate > 1_000_000:
        yield (
            f"tracing.samplingRatePerMillion: Invalid value: {rate}: "
            "sampling rate per million must be less than or equal to one million"
        )


def validate(config: KubeletConfiguration, cgroup_version: int) -> str | None:
    """All complaints in one text, None when the configuration is valid."""

    def prefixed(checks: tuple[Iterator[str], ...]) -> list[str]:
        return [f"invalid configuration: {text}" for check in checks for text in check]

    errors = prefixed((_first(config), _images(config), _limits(config)))
    errors += invalid_taints(config.get("registerWithTaints") or [])
    errors += prefixed((
        _topology(config), _shutdown(config), _restarts_and_swap(config), _allocatable(config), _choices(config),
        _reserved_memory(config),
    ))  # fmt: skip
    errors += [*_operating_system(config, cgroup_version), *_hidden_metrics(config)]
    errors += [*logging_problems(config), *_tracing(config.get("tracing"))]
    errors += prefixed((_last(config),))
    return join_errors(errors) if errors else None

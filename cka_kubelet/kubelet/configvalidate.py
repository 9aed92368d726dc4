"""Upstream's ValidateKubeletConfiguration: the checks whose messages begin with `invalid configuration:`."""

from collections.abc import Iterator

from cka_kubelet.kube.gofmt import format_duration, join_errors, quote
from cka_kubelet.kubelet.configuration import KubeletConfiguration

_POLICIES = ("none", "best-effort", "restricted", "single-numa-node")
_HAIRPIN = ("none", "hairpin-veth", "promiscuous-bridge")
_NOT_NEGATIVE = (
    ("eventBurst", "event-burst"),
    ("eventRecordQPS", "event-qps"),
    ("kubeAPIBurst", "kube-api-burst"),
    ("kubeAPIQPS", "kube-api-qps"),
    ("maxOpenFiles", "max-open-files"),
    ("maxPods", "max-pods"),
    ("podsPerCore", "pods-per-core"),
    ("registryBurst", "registry-burst"),
    ("registryPullQPS", "registry-qps"),
)
_CGROUP_V1 = (
    "kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed "
    "in a future release"
)


def _go_list(words: tuple[str, ...]) -> str:
    return "[" + " ".join(quote(word) for word in words) + "]"


def _ranges(config: KubeletConfiguration) -> Iterator[str]:
    if config["nodeLeaseDurationSeconds"] <= 0:
        yield "nodeLeaseDurationSeconds must be greater than 0"
    for field, flag in _NOT_NEGATIVE:
        if (config.get(field) or 0) < 0:
            yield f"{field} (--{flag}) {config[field]} must not be a negative number"
    for field, flag, low, high in (
        ("healthzPort", "healthz-port", 0, 65535),
        ("port", "port", 1, 65535),
        ("readOnlyPort", "read-only-port", 0, 65535),
        ("imageGCHighThresholdPercent", "image-gc-high-threshold", 0, 100),
        ("imageGCLowThresholdPercent", "image-gc-low-threshold", 0, 100),
        ("oomScoreAdj", "oom-score-adj", -1000, 1000),
    ):
        value = config.get(field) or 0
        if not low <= value <= high:
            shown = 1 if field == "healthzPort" else low
            yield f"{field} (--{flag}) {value} must be between {shown} and {high}, inclusive"
    if config["nodeStatusMaxImages"] < -1:
        yield f"nodeStatusMaxImages (--node-status-max-images) {config['nodeStatusMaxImages']} must be -1 or greater"
    low, high = config["imageGCLowThresholdPercent"], config["imageGCHighThresholdPercent"]
    if low >= high:
        yield (
            f"imageGCLowThresholdPercent (--image-gc-low-threshold) {low} must be less than "
            f"imageGCHighThresholdPercent (--image-gc-high-threshold) {high}"
        )
    period = config.duration("cpuCFSQuotaPeriod")
    if not 0.001 <= period <= 1:
        shown_period = format_duration(period)
        yield f"cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {{{shown_period}}} must be between 1ms and 1sec, inclusive"


def _allocatable(config: KubeletConfiguration) -> Iterator[str]:
    chosen = config.get("enforceNodeAllocatable") or []
    if not config["cgroupsPerQOS"] and chosen:
        yield (
            "enforceNodeAllocatable (--enforce-node-allocatable) is not supported unless cgroupsPerQOS "
            "(--cgroups-per-qos) is set to true"
        )
    if config.get("systemCgroups") and not config.get("cgroupRoot"):
        yield "systemCgroups (--system-cgroups) was specified and cgroupRoot (--cgroup-root) was not specified"
    for option in chosen:
        for name, field, flag in (
            ("system-reserved", "systemReservedCgroup", "system-reserved-cgroup"),
            ("kube-reserved", "kubeReservedCgroup", "kube-reserved-cgroup"),
        ):
            if option == name and not config.get(field):
                yield (
                    f"{field} (--{flag}) must be specified when {quote(name)} contained in enforceNodeAllocatable "
                    "(--enforce-node-allocatable)"
                )
        if option == "none" and len(chosen) > 1:
            yield (
                "enforceNodeAllocatable (--enforce-node-allocatable) may not contain additional enforcements when "
                '"none" is specified'
            )
        if option not in ("pods", "system-reserved", "kube-reserved", "system-reserved-compressible",
                          "kube-reserved-compressible", "none"):  # fmt: skip
            yield (
                f"option {quote(str(option))} specified for enforceNodeAllocatable (--enforce-node-allocatable). "
                'Valid options are "pods", "system-reserved", "system-reserved-compressible", "kube-reserved", '
                '"kube-reserved-compressible" or "none"'
            )


def _choices(config: KubeletConfiguration) -> Iterator[str]:
    policy, scope = config["topologyManagerPolicy"], config["topologyManagerScope"]
    if policy not in _POLICIES:
        yield f"topologyManagerPolicy (--topology-manager-policy) {quote(policy)} must be one of: {_go_list(_POLICIES)}"
    if scope not in ("container", "pod"):
        yield f'topologyManagerScope (--topology-manager-scope) {quote(scope)} must be one of: "container", or "pod"'
    if config["hairpinMode"] not in _HAIRPIN:
        mode = quote(config["hairpinMode"])
        yield (
            f"option {mode} specified for hairpinMode (--hairpin-mode). Valid options are "
            '"none", "hairpin-veth" or "promiscuous-bridge"'
        )
    behavior = config["memorySwap"].get("swapBehavior") or ""
    if behavior not in ("", "NoSwap", "LimitedSwap"):
        yield f'memorySwap.swapBehavior {quote(behavior)} must be one of: "", "LimitedSwap" or "NoSwap"'
    if config.get("runOnce"):
        yield "runOnce (--runOnce) is not supported any more, must be false"
    pulls = config.get("maxParallelImagePulls")
    if pulls is not None and pulls < 1:
        yield f"maxParallelImagePulls {pulls} must be a positive number"
    if config["serializeImagePulls"] and (pulls or 1) > 1:
        yield (
            "maxParallelImagePulls cannot be larger than 1 unless SerializeImagePulls (--serialize-image-pulls) "
            "set to false"
        )


def _durations(config: KubeletConfiguration) -> Iterator[str]:
    total, critical = config.duration("shutdownGracePeriod"), config.duration("shutdownGracePeriodCriticalPods")
    if critical > total:
        yield (
            f"shutdownGracePeriodCriticalPods {{{format_duration(critical)}}} must be <= shutdownGracePeriod "
            f"{{{format_duration(total)}}}"
        )
    restart = config.duration("crashLoopBackOff.maxContainerRestartPeriod")
    if not 1 <= restart <= 300:
        yield (f"CrashLoopBackOff.MaxContainerRestartPeriod (got: {restart:g} seconds) must be set between 1s and 300s")
    if config.duration("containerLogMonitorInterval") < 3:
        yield "containerLogMonitorInterval must be a positive time duration greater than or equal to 3s"
    if config["containerLogMaxWorkers"] < 1:
        yield "containerLogMaxWorkers must be greater than or equal to 1"
    if not str(config["podLogsDir"]).startswith("/"):
        yield f"pod logs path {quote(config['podLogsDir'])} must be absolute path"


def validate(config: KubeletConfiguration, cgroup_version: int) -> str | None:
    """All complaints in one text, None when the configuration is valid."""
    errors = [
        f"invalid configuration: {text}"
        for check in (_ranges, _allocatable, _choices, _durations)
        for text in check(config)
    ]
    if cgroup_version == 1 and config["failCgroupV1"]:
        errors.append(_CGROUP_V1)
    return join_errors(errors) if errors else None


def validate_logging(config: KubeletConfiguration) -> str | None:
    """The complaint of logging's own check, None when fine."""
    form = config["logging"]["format"]
    if form in ("text", "json"):
        return None
    return f"initialize logging: logging.format: Invalid value: {quote(str(form))}: Unsupported log format"

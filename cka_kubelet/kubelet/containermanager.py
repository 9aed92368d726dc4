"""Checks and log lines of upstream's container manager: swap, CPU and memory policies, node allocatable."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kube.quantity import Quantity
from cka_kubelet.kubelet import cgroupcheck, system
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.reserved import Threshold

_FILE = "container_manager_linux.go"


def _swaps(text: str) -> dict[str, Any]:  # a key with a blank, as upstream has it
    return {"/proc/swaps contents": text}


class ContainerManagerError(Exception):
    """The kubelet cannot start; str() is upstream's message."""


def check_swap(config: KubeletConfiguration) -> None:
    """Raise when swap is on and must not be, or is asked for where there cannot be any."""
    behavior = config["memorySwap"].get("swapBehavior") or ""
    if behavior == "LimitedSwap" and system.cgroup_version() == 1:
        raise ContainerManagerError("swap feature is enabled and LimitedSwap but it is only supported with cgroupv2")
    if not config["failSwapOn"]:
        if not behavior:
            klog.info(
                "server.go:866", "NoSwap is set due to memorySwapBehavior not specified", memorySwapBehavior="",
                FailSwapOn=False,
            )  # fmt: skip
        return
    swaps = system.swap_devices()
    if swaps:
        klog.info(f"{_FILE}:213", "Swap is on", **_swaps(swaps))
        raise ContainerManagerError(
            "running with swap on is not supported, please disable swap or set --fail-swap-on flag to false"
        )


def _threshold_json(threshold: Threshold) -> dict[str, object]:
    return {
        "Signal": threshold.signal,
        "Operator": "LessThan",
        "Value": {
            "Quantity": str(threshold.quantity) if threshold.quantity is not None else None,
            "Percentage": float(f"{threshold.percentage:.7g}"),  # as Go shows a float32
        },
        "GracePeriod": int(threshold.grace * 1e9),
        "MinReclaim": None,
    }


def announce(
    config: KubeletConfiguration, node_name: str, root_dir: str, driver: str, thresholds: list[Threshold]
) -> None:
    """The lines that describe how the node will be managed. Raises ContainerManagerError without cgroupRoot."""
    pid = os.getpid()
    klog.info(f"{_FILE}:907", "CPUAccounting not enabled for process", pid=pid)
    klog.info(f"{_FILE}:910", "MemoryAccounting not enabled for process", pid=pid)
    if not Path("/proc/pressure/cpu").exists():
        klog.info("cadvisor_linux.go:118", "PSI support not available")
    root = [piece for piece in str(config.get("cgroupRoot") or "").split("/") if piece]
    if config["cgroupsPerQOS"]:
        problem = cgroupcheck.missing(root, driver, system.cgroup_version()) if root else None
        if problem is not None:
            raise ContainerManagerError(f"invalid configuration: {problem}")
        klog.info(f"{_FILE}:276", "Container manager verified user specified cgroup-root exists", cgroupRoot=root)
    node_config = {
        "NodeName": node_name,
        "RuntimeCgroupsName": "",
        "SystemCgroupsName": config.get("systemCgroups") or "",
        "KubeletCgroupsName": config.get("kubeletCgroups") or "",
        "KubeletOOMScoreAdj": config["oomScoreAdj"],
        "ContainerRuntime": "",
        "CgroupsPerQOS": config["cgroupsPerQOS"],
        "CgroupRoot": config.get("cgroupRoot") or "/",
        "CgroupDriver": driver,
        "KubeletRootDir": root_dir,
        "ProtectKernelDefaults": bool(config.get("protectKernelDefaults")),
        "KubeReservedCgroupName": config.get("kubeReservedCgroup") or "",
        "SystemReservedCgroupName": config.get("systemReservedCgroup") or "",
        "ReservedSystemCPUs": {},
        "EnforceNodeAllocatable": {name: {} for name in config.get("enforceNodeAllocatable") or []},
        "KubeReserved": config.get("kubeReserved"),
        "SystemReserved": config.get("systemReserved"),
        "HardEvictionThresholds": [_threshold_json(threshold) for threshold in thresholds],
        "QOSReserved": {},
        "CPUManagerPolicy": config["cpuManagerPolicy"],
        "CPUManagerPolicyOptions": config.get("cpuManagerPolicyOptions"),
        "TopologyManagerScope": config["topologyManagerScope"],
        "CPUManagerReconcilePeriod": int(config.duration("cpuManagerReconcilePeriod") * 1e9),
        "MemoryManagerPolicy": config["memoryManagerPolicy"],
        "MemoryManagerReservedMemory": None,
        "PodPidsLimit": config["podPidsLimit"],
        "EnforceCPULimits": config["cpuCFSQuota"],
        "CPUCFSQuotaPeriod": int(config.duration("cpuCFSQuotaPeriod") * 1e9),
        "TopologyManagerPolicy": config["topologyManagerPolicy"],
        "TopologyManagerPolicyOptions": config.get("topologyManagerPolicyOptions"),
        "CgroupVersion": system.cgroup_version(),
    }
    klog.info(f"{_FILE}:281", "Creating Container Manager object based on Node Config", nodeConfig=node_config)
    policy = config["topologyManagerPolicy"]
    klog.info("topology_manager.go:172", f"Creating topology manager with {policy} policy")
    klog.info(f"{_FILE}:312", "Creating device plugin manager")
    klog.info(f"{_FILE}:321", "Creating Dynamic Resource Allocation (DRA) manager")


def check_policies(config: KubeletConfiguration, reserved_cpu: Quantity | None) -> None:
    """The CPU and memory managers' constructors. Raises ContainerManagerError after the line upstream logs."""
    policy = config["cpuManagerPolicy"]
    problem = None
    if policy not in ("none", "static"):
        problem = f'unknown policy: "{policy}"'
    elif policy == "static" and not config.get("reservedSystemCPUs"):
        if reserved_cpu is None:
            problem = "[cpumanager] unable to determine reserved CPU resources for static policy"
        elif reserved_cpu.nanos == 0:
            problem = (
                "[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero"
            )
    if problem is not None:
        klog.error(f"{_FILE}:343", "Failed to initialize cpu manager", err=problem)
        raise ContainerManagerError(problem)
    if config["memoryManagerPolicy"] not in ("None", "Static"):
        problem = f'unknown policy: "{config["memoryManagerPolicy"]}"'
        klog.error(f"{_FILE}:358", "Failed to initialize memory manager", err=problem)
        raise ContainerManagerError(problem)
    klog.info("state_mem.go:45", "Initialized", logger="CPUManager state memory")


def _check_state(path: Path, policy: str, kind: str, manager: str) -> str | None:
    """What is wrong with a manager's checkpoint, None when it may be used or does not exist."""
    try:
        text = path.read_text()
    except OSError:
        return None
    prefix = f"start {kind} manager error: could not restore state from checkpoint: "
    advice = (
        f'please drain this node and delete the {manager} manager checkpoint file "{path}" before restarting Kubelet'
    )
    try:
        state = json.loads(text)
        found = str(({} if state is None else state).get("policyName") or "")
    except AttributeError:
        go = {list: "array", str: "string", bool: "bool"}.get(type(state), "number")
        detail = f"json: cannot unmarshal {go} into Go value of type state.{manager}ManagerCheckpoint"
        return f"{prefix}{detail}, {advice}"
    except ValueError as error:
        position = getattr(error, "pos", 0)
        if position >= len(text):
            detail = "unexpected end of JSON input"
        else:
            detail = f"invalid character '{text[position]}' looking for beginning of value"
        return f"{prefix}{detail}, {advice}"
    if found != policy:
        return f'{prefix}configured policy "{policy}" differs from state checkpoint policy "{found}", {advice}'
    return None


_NO_CHECKPOINT = "Could not initialize checkpoint manager, please drain node and remove policy state file"


def start(config: KubeletConfiguration, root_dir: str, allocatable_problem: str | None) -> str | None:
    """Upstream's containerManager.Start: what keeps it from starting, None after its log lines."""
    if allocatable_problem is not None:
        return allocatable_problem
    cpu_policy, memory_policy = config["cpuManagerPolicy"], config["memoryManagerPolicy"]
    root = Path(root_dir)
    klog.info("cpu_manager.go:236", "Starting", policy=cpu_policy)
    klog.info("cpu_manager.go:237", "Reconciling", reconcilePeriod=config["cpuManagerReconcilePeriod"])
    problem = _check_state(root / "cpu_manager_state", cpu_policy, "cpu", "CPU")
    if problem is not None:
        klog.error("cpu_manager.go:246", _NO_CHECKPOINT, err=problem.removeprefix("start cpu manager error: "))
        return problem
    logger = "CPUManager state checkpoint.CPUManager state memory"
    klog.info("state_mem.go:45", "Initialized", logger=logger)
    klog.info("state_mem.go:123", "Updated default CPUSet", logger=logger, cpuSet="")
    klog.info("state_mem.go:141", "Updated CPUSet assignments", logger=logger, assignments={})
    klog.info(f"policy_{cpu_policy}.go:50", "Start")
    klog.info("memory_manager.go:190", "Starting memorymanager", policy=memory_policy)
    problem = _check_state(root / "memory_manager_state", memory_policy, "memory", "Memory")
    if problem is not None:
        klog.error("memory_manager.go:196", _NO_CHECKPOINT, err=problem.removeprefix("start memory manager error: "))
        return problem
    logger = "Memory Manager state checkpoint"
    klog.info("state_mem.go:40", "Initializing new in-memory state store", logger=logger)
    klog.info("state_mem.go:112", "Updated machine memory state", logger=logger)
    klog.info(f"policy_{memory_policy.lower()}.go:44", "Start")
    _write_states(root, cpu_policy, memory_policy)
    klog.error(
        "manager.go:525", "Failed to read data from checkpoint", err="checkpoint is not found",
        checkpoint="kubelet_internal_checkpoint",
    )  # fmt: skip
    return None


def _write_states(root: Path, cpu_policy: str, memory_policy: str) -> None:
    for name, body in (
        ("cpu_manager_state", {"policyName": cpu_policy, "defaultCpuSet": "", "checksum": 0}),
        ("memory_manager_state", {"policyName": memory_policy, "machineState": {}, "checksum": 0}),
    ):
        path = root / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(json.dumps(body, separators=(",", ":")))


def _enforcement_problem(config: KubeletConfiguration, driver: str) -> str | None:
    """Upstream's refusal to enforce limits on cgroups that are not there."""
    chosen = config.get("enforceNodeAllocatable") or []
    for option, field, title in (
        ("system-reserved", "systemReservedCgroup", "System"),
        ("kube-reserved", "kubeReservedCgroup", "Kube"),
    ):
        name = str(config.get(field) or "")
        if not name or (option not in chosen and f"{option}-compressible" not in chosen):
            continue
        problem = cgroupcheck.missing(cgroupcheck.parts(name, driver), driver, system.cgroup_version())
        if problem is not None:
            return f"Failed to enforce {title} Reserved Cgroup Limits on {quote(name)}: {problem}"
    return None


def enforce(config: KubeletConfiguration, driver: str, event: Callable[[str, str, str], None]) -> str | None:
    """Node allocatable on the cgroups that were named, with its events; what keeps it from being enforced."""
    if config.get("protectKernelDefaults") and (problem := cgroupcheck.kernel_problem()) is not None:
        return problem
    problem = _enforcement_problem(config, driver)
    if problem is not None:
        event("Warning", "FailedNodeAllocatableEnforcement", problem)
        return problem
    if "pods" in (config.get("enforceNodeAllocatable") or []):
        event("Normal", "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods")
    return None

"""What the node has and what of it is kept back: reservations, eviction thresholds, reserved processors."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from cka_kubelet.kube import klog
from cka_kubelet.kube.quantity import Quantity
from cka_kubelet.kubelet import cpuset, nodestatus, reserved, system
from cka_kubelet.kubelet.configuration import KubeletConfiguration


class Resources(NamedTuple):
    """What the node has, what is kept back, and the eviction thresholds (hard, then soft)."""

    capacity: dict[str, Quantity]
    reserved: dict[str, Quantity]
    hard: list[reserved.Threshold]
    soft: list[reserved.Threshold]
    reserved_cpu: Quantity | None


def _reserve_processors(config: KubeletConfiguration) -> None:
    """reservedSystemCPUs takes the place of the cpu in both reservations. Raises SettingError."""
    listed = str(config.get("reservedSystemCPUs") or "")
    chosen = cpuset.parse(listed)
    if not chosen:
        return
    online = frozenset(range(os.cpu_count() or 1))
    if not chosen <= online:
        raise reserved.SettingError(f"reserved-cpus: {listed} is not a subset of online-cpus: {cpuset.text(online)}")
    kube: dict[str, Any] | None = config.get("kubeReserved")
    own: dict[str, Any] | None = config.get("systemReserved")
    klog.info(
        "server.go:829",
        "Option --reserved-cpus is specified, it will overwrite the cpu setting in KubeReserved and SystemReserved",
        kubeReserved=kube or {}, systemReserved=own or {},
    )  # fmt: skip
    if kube is not None:
        kube = {name: amount for name, amount in kube.items() if name != "cpu"}
    own = {**(own or {}), "cpu": str(len(chosen))}
    klog.info("server.go:838", "After cpu setting is overwritten", kubeReserved=kube or {}, systemReserved=own)
    config["kubeReserved"], config["systemReserved"] = kube, own


def resources(config: KubeletConfiguration, root_dir: str, *, ignore_eviction: bool) -> Resources:
    """From this machine and the configuration. `ignore_eviction`: thresholds are not kept back.

    Raises SettingError.
    """
    _reserve_processors(config)
    kube = reserved.parse_reserved(config.get("kubeReserved"), "kube-reserved")
    own = reserved.parse_reserved(config.get("systemReserved"), "system-reserved")
    hard = reserved.hard_thresholds(config)
    storage = system.filesystem(root_dir if Path(root_dir).exists() else "/").capacity
    capacity = nodestatus.capacity(
        system.cpu_count(), system.memory().total, storage, system.huge_pages(), config["maxPods"],
        int(config.get("podsPerCore") or 0),
    )  # fmt: skip
    cpus = [source["cpu"] for source in (kube, own) if "cpu" in source]
    total = sum((amount.nanos for amount in cpus), 0)
    kept = reserved.reservation(kube, own, [] if ignore_eviction else hard, capacity)
    return Resources(capacity, kept, hard, [], Quantity(total) if cpus else None)

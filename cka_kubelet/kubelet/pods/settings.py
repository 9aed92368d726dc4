"""What the pod half takes from the kubelet's configuration, gathered once."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from cka_kubelet.kube import quantity
from cka_kubelet.kubelet.dependencies import Dependencies


@dataclass(slots=True)
class Settings:
    """Durations in seconds, sizes in bytes, paths absolute. Defaults are KubeletConfiguration's."""

    node_name: str
    root_dir: str = "/var/lib/kubelet"
    logs_root: str = "/var/log/pods"
    container_links: str = "/var/log/containers"
    static_pod_path: str = ""
    file_check_frequency: float = 20.0
    sync_frequency: float = 60.0
    cluster_dns: list[str] = field(default_factory=list)
    cluster_domain: str = ""
    resolv_conf: str = "/etc/resolv.conf"
    cgroup_driver: str = "cgroupfs"
    cgroup_root: str = ""
    cgroups_per_qos: bool = True
    cfs_quota: bool = True
    seccomp_default: bool = False
    serialize_image_pulls: bool = True
    max_restart_period: float = 300.0
    max_pods: int = 110
    pids_limit: int = -1
    log_max_size: int = 10 * 1024 * 1024
    log_max_files: int = 5
    memory_capacity: int = 0

    def pod_dir(self, uid: str) -> str:
        """`<root>/pods/UID`."""
        return f"{self.root_dir}/pods/{uid}"


def memory_capacity() -> int:
    """The machine's memory in bytes (/proc/meminfo)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def settings_from(deps: Dependencies) -> Settings:
    """The settings that the kubelet's configuration holds."""
    config = deps.config
    return Settings(
        node_name=deps.node_name,
        root_dir=deps.root_dir.rstrip("/"),
        logs_root=str(config.at("podLogsDir") or "/var/log/pods").rstrip("/"),
        static_pod_path=str(config.at("staticPodPath") or ""),
        file_check_frequency=config.duration("fileCheckFrequency") or 20.0,
        sync_frequency=config.duration("syncFrequency") or 60.0,
        cluster_dns=[str(ip) for ip in config.at("clusterDNS") or []],
        cluster_domain=str(config.at("clusterDomain") or ""),
        resolv_conf=str(config.at("resolvConf") if config.at("resolvConf") is not None else "/etc/resolv.conf"),
        cgroup_driver=deps.cgroup_driver,
        cgroups_per_qos=config.at("cgroupsPerQOS") is not False,
        cfs_quota=config.at("cpuCFSQuota") is not False,
        seccomp_default=bool(config.at("seccompDefault")),
        serialize_image_pulls=config.at("serializeImagePulls") is not False,
        max_restart_period=config.duration("crashLoopBackOff.maxContainerRestartPeriod") or 300.0,
        max_pods=int(config.at("maxPods") or 110),
        pids_limit=int(config.at("podPidsLimit") or -1),
        log_max_size=quantity.parse(str(config.at("containerLogMaxSize") or "10Mi")).value(),
        log_max_files=int(config.at("containerLogMaxFiles") or 5),
        memory_capacity=memory_capacity(),
    )


def make_roots(settings: Settings) -> None:
    """The directories that all pods share. What cannot be made fails again, and is told, with the first pod."""
    for folder, mode in (
        (f"{settings.root_dir}/pods", 0o750),
        (settings.logs_root, 0o755),
        (settings.container_links, 0o755),
    ):
        with contextlib.suppress(OSError):
            Path(folder).mkdir(mode=mode, parents=True, exist_ok=True)

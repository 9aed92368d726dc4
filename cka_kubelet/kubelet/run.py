"""Builds the kubelet's parts in upstream's order and runs them until a signal or a fatal error ends the process."""

import asyncio
import ipaddress
import os
import signal
from pathlib import Path
from typing import NamedTuple

from cka_kubelet.clock import SystemClock
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import path_error
from cka_kubelet.kube.quantity import Quantity
from cka_kubelet.kubelet import containermanager, nodestatus, reserved, sdnotify, startup, system
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.dependencies import Dependencies
from cka_kubelet.kubelet.events import EventRecorder
from cka_kubelet.kubelet.flags import ParsedFlags
from cka_kubelet.kubelet.kubelet import Kubelet
from cka_kubelet.kubelet.runtimestate import RuntimeState

_ROOT = "/var/lib/kubelet"


class Resources(NamedTuple):
    """What the node has, what is kept back, and the eviction thresholds (hard, then soft)."""

    capacity: dict[str, Quantity]
    reserved: dict[str, Quantity]
    hard: list[reserved.Threshold]
    soft: list[reserved.Threshold]
    reserved_cpu: Quantity | None


def exit_now(code: int) -> None:
    """End the process at once. Containers go on; nothing needs saving."""
    os._exit(code)


def _resources(config: KubeletConfiguration, root_dir: str) -> Resources:
    """Parse reservations and hard thresholds. Raises StartError."""
    try:
        kube = reserved.parse_reserved(config.get("kubeReserved"), "kube-reserved")
        own = reserved.parse_reserved(config.get("systemReserved"), "system-reserved")
        hard = reserved.hard_thresholds(config)
    except reserved.SettingError as error:
        raise startup.fail(error) from error
    storage = system.filesystem(root_dir if Path(root_dir).exists() else "/").capacity
    capacity = nodestatus.capacity(
        system.cpu_count(), system.memory().total, storage, system.huge_pages(), config["maxPods"],
        int(config.get("podsPerCore") or 0),
    )  # fmt: skip
    cpus = [source["cpu"] for source in (kube, own) if "cpu" in source]
    total = sum((amount.nanos for amount in cpus), 0)
    return Resources(
        capacity, reserved.reservation(kube, own, hard, capacity), hard, [], Quantity(total) if cpus else None
    )


def _node_ips(parsed: ParsedFlags) -> tuple[list[str], str | None]:
    """The node's addresses, and what is wrong with the one that was asked for."""
    good, bad = [], []
    for text in (part.strip() for part in parsed.text("node-ip").split(",") if part.strip()):
        try:
            good.append(str(ipaddress.ip_address(text)))
        except ValueError:
            bad.append(text)
    if bad:
        klog.info("server.go:1140", "Could not parse some node IP(s), ignoring them", IPs=bad)
    good = [ip for ip in good if ip not in ("0.0.0.0", "::")]  # noqa: S104  # these only choose a family
    for ip in good:
        if not system.is_local(ip):
            return [], f'failed to validate nodeIP: node IP: "{ip}" not found in the host\'s network interfaces'
    if good:
        return good, None
    found = system.default_address()
    return ([found] if found else []), None


def _create(
    parsed: ParsedFlags, config: KubeletConfiguration, resources: Resources, serving: tuple[str, str], root_dir: str
) -> Resources:
    """The checks of upstream's NewMainKubelet. Raises StartError."""
    startup.check_cloud_provider(parsed)
    try:
        soft = reserved.soft_thresholds(config)
    except reserved.SettingError as error:
        raise startup.fail(f"failed to create kubelet: {error}") from error
    for text in config.get("clusterDNS") or []:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            klog.info("kubelet.go:594", "Invalid clusterDNS IP", IP=text)
    startup.check_pods_directory(root_dir)
    startup.check_serving_files(*serving)
    return resources._replace(soft=soft)


async def _check_runtime(
    parsed: ParsedFlags, config: KubeletConfiguration, node_name: str, serving: tuple[str, str]
) -> tuple[CRIClient, CRIClient, str, Resources]:
    """Runtime and image clients, cgroup driver and resources, once everything is in order. Raises StartError."""
    root_dir = parsed.text("root-dir", _ROOT)
    runtime, images = await startup.connect_runtime(config)
    driver = await startup.cgroup_driver(config, runtime)
    resources = _resources(config, root_dir)
    try:
        containermanager.check_swap(config)
        containermanager.announce(config, node_name, root_dir, driver, resources.hard)
        containermanager.check_policies(config, resources.reserved_cpu)
    except containermanager.ContainerManagerError as error:
        raise startup.fail(error) from error
    return runtime, images, driver, _create(parsed, config, resources, serving, root_dir)


def _prepare(config: KubeletConfiguration, root_dir: str) -> None:
    """OOM score and directories."""
    _oom_score(config)
    try:
        startup.prepare_directories(root_dir, str(config["podLogsDir"]))
    except OSError as error:
        socket = f"{root_dir}/pod-resources/kubelet.sock"
        klog.error(
            "server.go:260", "Failed to create listener for podResources endpoint",
            err=path_error("failed to unlink socket file", socket, error),
        )  # fmt: skip
        exit_now(1)


async def run(parsed: ParsedFlags, config: KubeletConfiguration, node_name: str, serving: tuple[str, str]) -> None:
    """Start everything; returns only by an exception. Raises StartError."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, exit_now, 0)
    startup.announce_version()
    credentials = startup.load_credentials(parsed, config)
    startup.check_auth(config, credentials is not None)
    runtime, images, driver, resources = await _check_runtime(parsed, config, node_name, serving)
    version = await runtime.version()
    klog.info(
        "kuberuntime_manager.go:308", "Container runtime initialized", containerRuntime=version.runtime_name,
        version=version.runtime_version, apiVersion=version.runtime_api_version,
    )  # fmt: skip
    root_dir, clock = parsed.text("root-dir", _ROOT), SystemClock()
    _prepare(config, root_dir)
    api = credentials.api if credentials is not None else None
    node_ips, ip_problem = _node_ips(parsed)
    left = reserved.allocatable(resources.capacity, resources.reserved)
    deps = Dependencies(
        node_name=node_name,
        hostname=node_name,
        config=config,
        cri=runtime,
        image_cri=images,
        api=api,
        recorder=EventRecorder(api, clock, node_name),
        clock=clock,
        runtime_state=RuntimeState(clock),
        root_dir=root_dir,
        cgroup_driver=driver,
        cgroup_version=system.cgroup_version(),
        node_ref={"kind": "Node", "apiVersion": "v1", "name": node_name},
        fatal=exit_now,
        serving_certificate=serving,
        node_ips=node_ips,
        allocatable=lambda: left,
        runtime_name=version.runtime_name,
        runtime_version=version.runtime_version,
    )
    kubelet = Kubelet(deps, parsed, resources, credentials, ip_problem)
    await kubelet.start()
    sdnotify.notify("READY=1")
    await kubelet.wait()


def _oom_score(config: KubeletConfiguration) -> None:
    try:
        Path("/proc/self/oom_score_adj").write_text(str(config["oomScoreAdj"]))
    except OSError as error:
        klog.info(
            "server.go:938", "Failed to ApplyOOMScoreAdj", err=path_error("write", "/proc/self/oom_score_adj", error)
        )

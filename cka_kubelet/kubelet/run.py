"""Builds the kubelet's parts in upstream's order and runs them until a signal or a fatal error ends the process."""

import asyncio
import ipaddress
import os
import signal
from pathlib import Path

from cka_kubelet.clock import SystemClock
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import path_error
from cka_kubelet.kube.pflag import ParsedFlags
from cka_kubelet.kubelet import containermanager, nodecapacity, nodeip, reserved, sdnotify, startup, system, watchdog
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.credentials import load_credentials
from cka_kubelet.kubelet.dependencies import Dependencies
from cka_kubelet.kubelet.events import EventRecorder
from cka_kubelet.kubelet.kubelet import Kubelet
from cka_kubelet.kubelet.nodecapacity import Resources
from cka_kubelet.kubelet.runtimestate import RuntimeState
from cka_kubelet.kubelet.servingtls import ServingTLS

_ROOT = "/var/lib/kubelet"


def exit_now(code: int) -> None:
    """End the process at once. Containers go on; nothing needs saving."""
    os._exit(code)


def _stop(authority: str) -> None:
    """A signal asks the kubelet to end."""
    if authority:
        name = f"client-ca-bundle::{authority}"
        klog.info("dynamic_cafile_content.go:175", "Shutting down controller", name=name)
    exit_now(0)


def _create(
    parsed: ParsedFlags, config: KubeletConfiguration, resources: Resources, serving: startup.Serving, root_dir: str
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
    startup.check_serving(serving, parsed, config)
    return resources._replace(soft=soft)


async def _check_runtime(
    parsed: ParsedFlags, config: KubeletConfiguration, node_name: str
) -> tuple[CRIClient, CRIClient, str, Resources]:
    """Runtime and image clients, cgroup driver and resources, once everything is in order. Raises StartError."""
    root_dir = parsed.text("root-dir", _ROOT)
    runtime, images = await startup.connect_runtime(config)
    driver = await startup.cgroup_driver(config, runtime)
    if config["cgroupsPerQOS"] and not config.get("cgroupRoot"):
        klog.info("server.go:814", "--cgroups-per-qos enabled, but --cgroup-root was not specified.  Defaulting to /")
    try:
        resources = nodecapacity.resources(
            config, root_dir, ignore_eviction=bool(parsed.values.get("experimental-allocatable-ignore-eviction"))
        )
        containermanager.check_swap(config)
        containermanager.announce(config, node_name, root_dir, driver, resources.hard)
        containermanager.check_policies(config, resources.reserved_cpu)
    except (reserved.SettingError, containermanager.ContainerManagerError) as error:
        raise startup.fail(error) from error
    return runtime, images, driver, resources


def _prepare(config: KubeletConfiguration, root_dir: str) -> None:
    """The data directories; ends the process when they cannot be made."""
    try:
        startup.prepare_directories(root_dir, str(config["podLogsDir"]))
    except OSError as error:
        socket = f"{root_dir}/pod-resources/kubelet.sock"
        klog.error(
            "server.go:260", "Failed to create listener for podResources endpoint",
            err=path_error("failed to unlink socket file", socket, error),
        )  # fmt: skip
        exit_now(1)


async def run(parsed: ParsedFlags, config: KubeletConfiguration, node_name: str, serving: startup.Serving) -> None:
    """Start everything; returns only by an exception. Raises StartError."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, str(config.at("authentication.x509.clientCAFile") or ""))
    startup.announce_version()
    watchdog_every = startup.watchdog_interval()
    startup.acquire_lock(parsed)
    clock = SystemClock()
    credentials = load_credentials(parsed, config, node_name, clock)
    startup.check_auth(config, credentials is not None)
    runtime, images, driver, resources = await _check_runtime(parsed, config, node_name)
    root_dir = parsed.text("root-dir", _ROOT)
    _oom_score(config)
    try:
        wanted_ips = nodeip.parse(parsed.text("node-ip"))
    except nodeip.NodeIPError as error:
        raise startup.fail(error) from error
    klog.info("server.go:1150", "Using root directory", v=2, path=root_dir)
    resources = _create(parsed, config, resources, serving, root_dir)
    version = await runtime.version()
    klog.info(
        "kuberuntime_manager.go:308", "Container runtime initialized", containerRuntime=version.runtime_name,
        version=version.runtime_version, apiVersion=version.runtime_api_version,
    )  # fmt: skip
    _prepare(config, root_dir)
    tls = ServingTLS(str(config.at("authentication.x509.clientCAFile") or ""), serving.options)
    if serving.certificate:
        tls.use(serving.certificate, serving.key)
    api = credentials.api if credentials is not None else None
    node_ips, ip_problem = nodeip.addresses(wanted_ips)
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
        serving=tls,
        node_ips=node_ips,
        allocatable=lambda: left,
        flag_values=lambda: _flag_values(parsed),
        runtime_name=version.runtime_name,
        runtime_version=version.runtime_version,
    )
    kubelet = Kubelet(deps, parsed, resources, credentials, ip_problem)
    await kubelet.start()
    sdnotify.notify("READY=1")
    if watchdog_every is None:
        await kubelet.wait()
    else:
        await watchdog.run(watchdog_every)


def _flag_values(parsed: ParsedFlags) -> dict[str, str]:
    from cka_kubelet.kubelet import flagshow  # only when somebody asks

    return flagshow.values(parsed)


def _oom_score(config: KubeletConfiguration) -> None:
    try:
        Path("/proc/self/oom_score_adj").write_text(str(config["oomScoreAdj"]))
    except OSError as error:
        klog.info(
            "server.go:938", "Failed to ApplyOOMScoreAdj", err=path_error("write", "/proc/self/oom_score_adj", error)
        )

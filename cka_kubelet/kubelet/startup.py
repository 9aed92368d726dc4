"""The steps before the kubelet runs, in upstream's order, with their log lines and errors (app/server.go)."""

import asyncio
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.certfiles import authority_problem, pair_problem
from cka_kubelet.kube.gofmt import errno_text, path_error, quote
from cka_kubelet.kube.pflag import ParsedFlags
from cka_kubelet.kubelet import observed, watchdog
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.version import VERSION

DEFAULT_ENDPOINT = "unix:///run/containerd/containerd.sock"
_DRIVER_TRIES, _DRIVER_WAIT = 3, 2.0


if TYPE_CHECKING:
    from cka_kubelet.kubelet.tlsoptions import TLSOptions


class StartError(Exception):
    """The kubelet cannot start; str() is what follows `"command failed" err=`."""


def fail(error: object) -> StartError:
    """The error with the prefix of everything that goes wrong inside run()."""
    return StartError(f"failed to run Kubelet: {error}")


class Serving(NamedTuple):
    """TLS of :10250. Without files, the control plane is to sign a certificate."""

    certificate: str
    key: str
    options: "TLSOptions | None"


def serving_tls(config: KubeletConfiguration, flags: ParsedFlags, node_name: str) -> Serving:
    """What :10250 is to serve with; a self-signed pair is made when none is configured. Raises StartError."""
    certificate, key = _serving_files(config, flags, node_name)
    if not config.get("tlsCipherSuites") and not config.get("tlsMinVersion"):
        return Serving(certificate, key, None)
    from cka_kubelet.kubelet import tlsoptions  # few nodes set these

    try:
        return Serving(certificate, key, tlsoptions.parse(config))
    except tlsoptions.TLSOptionError as error:
        raise dependencies_error(error) from error


def _serving_files(config: KubeletConfiguration, flags: ParsedFlags, node_name: str) -> tuple[str, str]:
    if config.get("serverTLSBootstrap") or config.get("tlsCertFile") or config.get("tlsPrivateKeyFile"):
        return str(config.get("tlsCertFile") or ""), str(config.get("tlsPrivateKeyFile") or "")
    directory = flags.text("cert-dir", "/var/lib/kubelet/pki")
    certificate, key = f"{directory}/kubelet.crt", f"{directory}/kubelet.key"
    there = [Path(path).exists() for path in (certificate, key)]
    if there != [True, True]:
        if any(there):
            missing = key if there[0] else certificate
            raise dependencies_error(f"error reading {missing}, certificate and key must be supplied as a pair")
        from cka_kubelet.kube import selfsigned  # once in a node's life

        try:
            selfsigned.write(certificate, key, node_name)
        except selfsigned.SelfSignedError as error:
            raise dependencies_error(error) from error
        klog.info("server.go:1045", "Using self-signed cert", v=4, TLSCertFile=certificate, TLSPrivateKeyFile=key)
    config["tlsCertFile"], config["tlsPrivateKeyFile"] = certificate, key
    return certificate, key


def dependencies_error(problem: object) -> StartError:
    """What goes wrong before run()."""
    return StartError(f"failed to construct kubelet dependencies: {problem}")


def announce_version() -> None:
    """The first lines of every start."""
    uid = os.getuid()
    if uid != 0:
        text = f"kubelet needs to run as uid `0`. It is being run as {uid}"
        klog.error("server.go:291", "Kubelet running with insufficient permissions", err=text)
    klog.info("server.go:545", "Kubelet version", kubeletVersion=VERSION)
    environment = {name: os.environ.get(name, "") for name in ("GOGC", "GOMAXPROCS", "GOTRACEBACK")}
    klog.info("server.go:547", "Golang settings", **environment)  # type: ignore[arg-type]  # keys are upstream's


def watchdog_interval() -> float | None:
    """Seconds between two notifications of systemd's watchdog, None without one. Raises StartError."""
    try:
        return watchdog.interval()
    except watchdog.WatchdogError as error:
        raise fail(f"create health checker: configure watchdog: {error}") from error


def acquire_lock(flags: ParsedFlags) -> None:
    """Hold --lock-file, waiting for whoever has it, until the process ends. Raises StartError."""
    path = flags.text("lock-file")
    if flags.values.get("exit-on-lock-contention") and not path:
        raise fail("cannot exit on lock file contention: no lock file specified")
    if not path:
        return
    klog.info("server.go:640", "Acquiring file lock", path=path)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        raise fail(f"unable to acquire file lock on {quote(path)}: {errno_text(error)}") from error


def check_auth(config: KubeletConfiguration, has_api: bool) -> None:
    """What building authentication and authorization checks. Raises StartError."""
    authority = config.at("authentication.x509.clientCAFile")
    problem = authority_problem(authority) if authority else None
    if problem is not None:
        raise fail(problem)
    if config.at("authentication.webhook.enabled") and not has_api:
        raise fail("no client provided, cannot use webhook authentication")
    mode = config.at("authorization.mode")
    if mode == "Webhook" and not has_api:
        raise fail("no client provided, cannot use webhook authorization")
    if mode not in ("Webhook", "AlwaysAllow"):
        raise fail(f"unknown authorization mode {mode}")
    if authority:
        klog.info("dynamic_cafile_content.go:161", "Starting controller", name=f"client-ca-bundle::{authority}")


async def connect_runtime(config: KubeletConfiguration) -> tuple[CRIClient, CRIClient]:
    """Clients of the runtime and its image service, both answering. Raises StartError."""
    endpoint = str(config.get("containerRuntimeEndpoint") or DEFAULT_ENDPOINT)
    image_endpoint = str(config.get("imageServiceEndpoint") or endpoint)
    timeout = config.duration("runtimeRequestTimeout")
    try:
        runtime = CRIClient(endpoint, timeout, log=klog)
        await runtime.validate()
        images = CRIClient(image_endpoint, timeout, log=klog, channel=4)
        await images.validate("image")
    except (RpcError, ValueError) as error:
        raise fail(error) from error
    runtime.observe = images.observe = observed.runtime_call
    return runtime, images


async def cgroup_driver(config: KubeletConfiguration, runtime: CRIClient) -> str:
    """systemd or cgroupfs: the runtime's own word, else the configuration's. Raises StartError."""
    for attempt in range(_DRIVER_TRIES):
        try:
            answer = await runtime.runtime_config()
        except RpcError as error:
            if error.code == "Unimplemented":
                klog.info(
                    "server.go:1431",
                    "CRI implementation should be updated to support RuntimeConfig. "
                    "Falling back to using cgroupDriver from kubelet config.",
                )
                return str(config["cgroupDriver"])
            if attempt == _DRIVER_TRIES - 1:
                raise fail(f"failed to get cgroup driver from CRI: {error}") from error
            await asyncio.sleep(_DRIVER_WAIT)
            continue
        driver = "systemd" if answer.linux.cgroup_driver == 0 else "cgroupfs"
        klog.info("server.go:1454", "Using cgroup driver setting received from the CRI runtime", cgroupDriver=driver)
        config["cgroupDriver"] = driver
        return driver
    raise fail("failed to get cgroup driver from CRI")


def check_cloud_provider(flags: ParsedFlags) -> None:
    """Raise StartError for a built-in cloud provider."""
    provider = flags.text("cloud-provider")
    if provider not in ("", "external"):
        raise fail(
            f"failed to create kubelet: cloud provider {quote(provider)} was specified, but built-in cloud providers "
            "are disabled. Please set --cloud-provider=external and migrate to an external cloud provider"
        )


def check_serving(serving: Serving, flags: ParsedFlags, config: KubeletConfiguration) -> None:
    """The serving certificate manager's constructor: files that fit, or a store that can be read. Raises StartError."""
    if config.get("serverTLSBootstrap"):
        from cka_kubelet.kubelet import clientcert, servingcert  # only for serverTLSBootstrap

        directory = flags.text("cert-dir", "/var/lib/kubelet/pki")
        try:
            servingcert.store(directory, serving.certificate, serving.key).check()
        except clientcert.StoreError as error:
            raise fail(
                "failed to create kubelet: failed to initialize certificate manager: "
                f"failed to initialize server certificate manager: {error}"
            ) from error
        return
    problem = pair_problem(serving.certificate, serving.key)
    if problem is not None:
        raise fail(
            "failed to create kubelet: failed to initialize file based certificate manager: unable to set up dynamic "
            f"certificate manager for kubelet server cert files: {problem}"
        )


def prepare_directories(root: str, logs: str) -> None:
    """The kubelet's data directories; a failure is a line and exit 1 upstream. Raises OSError."""
    for path in (root, f"{root}/pods", f"{root}/plugins", f"{root}/plugins_registry", f"{root}/pod-resources",
                 f"{root}/device-plugins", f"{root}/checkpoints", "/var/log/containers", logs):  # fmt: skip
        Path(path).mkdir(mode=0o750, parents=True, exist_ok=True)


def check_pods_directory(root: str) -> None:
    """The user namespace manager reads the pods on disk. Raises StartError."""
    path = f"{root}/pods"
    try:
        os.listdir(path)  # noqa: PTH208  # only whether it can be read matters
    except FileNotFoundError:
        return
    except OSError as error:
        problem = path_error("open", path, error)
        raise fail(
            f"failed to create kubelet: create user namespace manager: read pods from disk: {problem}"
        ) from error

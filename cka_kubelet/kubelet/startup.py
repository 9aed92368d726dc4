"""The steps before the kubelet runs, in upstream's order, with their log lines and errors (app/server.go)."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.gofmt import path_error, quote
from cka_kubelet.kube.httpclient import HTTPClient
from cka_kubelet.kube.kubeconfig import RESTConfig
from cka_kubelet.kubelet import bootstrap, clientcert, pem
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.flags import ParsedFlags
from cka_kubelet.kubelet.version import VERSION

DEFAULT_ENDPOINT = "unix:///run/containerd/containerd.sock"
_DRIVER_TRIES, _DRIVER_WAIT = 3, 2.0


class StartError(Exception):
    """The kubelet cannot start; str() is what follows `"command failed" err=`."""


def fail(error: object) -> StartError:
    """The error with the prefix of everything that goes wrong inside run()."""
    return StartError(f"failed to run Kubelet: {error}")


def serving_certificate(config: KubeletConfiguration, flags: ParsedFlags, node_name: str) -> tuple[str, str]:
    """(certificate file, key file) of :10250; a self-signed pair is made when none is configured. Raises StartError."""
    if config.get("tlsCertFile") or config.get("tlsPrivateKeyFile"):
        return str(config.get("tlsCertFile") or ""), str(config.get("tlsPrivateKeyFile") or "")
    directory = flags.text("cert-dir", "/var/lib/kubelet/pki")
    certificate, key = f"{directory}/kubelet.crt", f"{directory}/kubelet.key"
    there = [Path(path).exists() for path in (certificate, key)]
    if there == [True, True]:
        return certificate, key
    if any(there):
        missing = key if there[0] else certificate
        raise StartError(
            "failed to construct kubelet dependencies: error reading "
            f"{missing}, certificate and key must be supplied as a pair"
        )
    _self_signed(certificate, key, node_name)
    klog.info("server.go:1045", "Using self-signed cert", TLSCertFile=certificate, TLSPrivateKeyFile=key)
    return certificate, key


def _self_signed(certificate: str, key: str, name: str) -> None:
    try:
        Path(certificate).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        Path(certificate).touch(mode=0o644)
    except OSError as error:
        raise StartError(
            f"failed to construct kubelet dependencies: {path_error('open', certificate, error)}"
        ) from error
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj",
        f"/CN={name}@{int(time.time())}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate,
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, check=False)
    if result.returncode != 0:
        text = result.stderr.decode(errors="replace").strip()
        raise StartError(f"failed to construct kubelet dependencies: unable to generate self signed cert: {text}")
    Path(key).chmod(0o600)


def announce_version() -> None:
    """The first lines of every start."""
    uid = os.getuid()
    if uid != 0:
        text = f"kubelet needs to run as uid `0`. It is being run as {uid}"
        klog.error("server.go:291", "Kubelet running with insufficient permissions", err=text)
    klog.info("server.go:545", "Kubelet version", kubeletVersion=VERSION)
    environment = {name: os.environ.get(name, "") for name in ("GOGC", "GOMAXPROCS", "GOTRACEBACK")}
    klog.info("server.go:547", "Golang settings", **environment)  # type: ignore[arg-type]  # keys are upstream's
    klog.info("watchdog_linux.go:94", "Systemd watchdog is not enabled")
    klog.info(
        "watchdog_linux.go:137",
        "Systemd watchdog is not enabled or the interval is invalid, so health checking will not be started.",
    )


class Credentials:
    """The API clients, and where their certificate stands."""

    def __init__(self, api: APIClient, rest: RESTConfig, store: clientcert.CertificateStore | None) -> None:
        self.api = api
        self.rest = rest
        self.store = store
        self.bootstrap: APIClient | None = None
        """Set when the first certificate is still to be requested, with these credentials."""

    def current(self) -> pem.Certificate | None:
        """The stored certificate, None when there is none."""
        if self.store is None:
            return None
        try:
            return pem.certificates(Path(self.store.current_path).read_bytes())[0]
        except (OSError, pem.PEMError):
            return None

    def reload(self) -> None:
        """Use the stored pair from now on."""
        if self.store is None:
            return
        bare = self.rest._replace(cert_file="", key_file="", cert_data=b"", key_data=b"")
        context = bootstrap.tls_context(bare, self.store.current_path)
        if context is not None:
            self.api.http.set_ssl_context(context)

    def not_after(self) -> float | None:
        """End of the stored certificate (epoch seconds), None when there is none."""
        if self.store is None:
            return float("inf")
        try:
            return min(found.not_after for found in pem.certificates(Path(self.store.current_path).read_bytes()))
        except (OSError, pem.PEMError):
            return None

    async def server_healthy(self) -> bool:
        """Whether the API server answers /healthz, whatever it thinks of our certificate."""
        rest = self.rest._replace(cert_file="", cert_data=b"", key_file="", key_data=b"")
        try:
            http = HTTPClient(rest.server, bootstrap.tls_context(rest), server_name=rest.server_name)
            answer = await http.request("GET", "/healthz", timeout=10)
        except Exception:
            return False
        else:
            return answer.status < 500


def load_credentials(flags: ParsedFlags, config: KubeletConfiguration) -> Credentials | None:
    """The API client, or None without --kubeconfig. Raises StartError with upstream's text."""
    kubeconfig = flags.text("kubeconfig")
    if not kubeconfig:
        klog.info("server.go:655", "Standalone mode, no API client")
        return None
    directory = flags.text("cert-dir", "/var/lib/kubelet/pki")
    store, pair_file, ask = None, "", None
    try:
        if config.get("rotateCertificates"):
            klog.info("server.go:991", "Client rotation is on, will bootstrap in background")
            configs = bootstrap.load_client_config(kubeconfig, flags.text("bootstrap-kubeconfig"), directory)
            rest = configs.client
            store = clientcert.CertificateStore(directory)
            if clientcert.initial_pair(store, rest) is not None:
                pair_file = store.current_path
            elif configs.certificates is not rest:
                ask = configs.certificates
        else:
            rest = bootstrap.load_plain(kubeconfig)
        usable = rest._replace(cert_file="", key_file="") if store is not None and not pair_file else rest
        context = bootstrap.tls_context(usable, pair_file)
    except (bootstrap.BootstrapError, bootstrap.TLSError) as error:
        raise fail(error) from error
    http = HTTPClient(rest.server, context, rest.token or None, server_name=rest.server_name)
    credentials = Credentials(APIClient(http), rest, store)
    if ask is not None:
        first = HTTPClient(ask.server, bootstrap.tls_context(ask), ask.token or None, server_name=ask.server_name)
        credentials.bootstrap = APIClient(first)
    return credentials


def check_auth(config: KubeletConfiguration, has_api: bool) -> None:
    """What building authentication and authorization checks. Raises StartError."""
    authority = config.at("authentication.x509.clientCAFile")
    if authority:
        try:
            data = Path(authority).read_bytes()
        except OSError as error:
            raise fail(
                path_error("read" if isinstance(error, IsADirectoryError) else "open", authority, error)
            ) from error
        if not data:
            raise fail(f'missing content for CA bundle "client-ca-bundle::{authority}"')
        try:
            pem.certificates(data)
        except pem.PEMError as error:
            raise fail(f'error loading CA bundle for "client-ca-bundle::{authority}": {error}') from error
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


def check_serving_files(certificate: str, key: str) -> None:
    """The file-based serving certificate manager. Raises StartError."""
    for path in (certificate, key):
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise _serving_error(path_error("open", path, error)) from error
        if path == certificate:
            first = data
    try:
        pem.check_pair(first, data)
    except pem.PEMError as error:
        raise _serving_error(str(error)) from error


def _serving_error(problem: str) -> StartError:
    return fail(
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

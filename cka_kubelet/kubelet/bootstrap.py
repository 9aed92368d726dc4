"""Which credentials the kubelet starts with (pkg/kubelet/certificate/bootstrap)."""

import time
from pathlib import Path
from typing import NamedTuple

import yaml

from cka_kubelet.kube import klog, pem
from cka_kubelet.kube.clienttls import TLSError, check_tls, read_pem
from cka_kubelet.kube.gofmt import path_error
from cka_kubelet.kube.kubeconfig import KubeconfigError, RESTConfig, load


class BootstrapError(Exception):
    """The kubelet cannot start; str() follows `failed to run Kubelet: `."""


class ClientConfigs(NamedTuple):
    """`certificates`: for asking the API server for a certificate; `client`: for everything else."""

    certificates: RESTConfig
    client: RESTConfig


def _still_valid(path: str) -> bool:
    """Whether the kubeconfig at `path` is worth using; says in the log why not."""
    try:
        Path(path).stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        problem = path_error("stat", path, error)
        raise BootstrapError(f"error reading existing bootstrap kubeconfig {path}: {problem}") from error
    what = "from existing bootstrap client config read"
    try:
        config = load(path).resolve()
    except KubeconfigError as error:
        klog.unhandled("bootstrap.go:242", f"unable to read existing bootstrap client config from {path}: {error}")
        return False
    try:
        check_tls(config)
    except TLSError as error:
        klog.unhandled("bootstrap.go:252", f"unable to load TLS configuration {what} from {path}: {error}")
        return False
    try:
        found = pem.certificates(read_pem(config.cert_file, config.cert_data))
    except (pem.PEMError, TLSError) as error:
        klog.unhandled("bootstrap.go:257", f"unable to load TLS certificates {what} from {path}: {error}")
        return False
    expired = next((certificate for certificate in found if time.time() > certificate.not_after), None)
    if expired is not None:
        when = pem.go_time(expired.not_after)
        klog.unhandled(
            "bootstrap.go:267", f"part of the existing bootstrap client certificate in {path} is expired: {when}"
        )
        return False
    return True


def load_client_config(kubeconfig: str, bootstrap: str, cert_dir: str) -> ClientConfigs:
    """The credentials with certificate rotation on. May write `kubeconfig` from the bootstrap one.

    Raises BootstrapError with upstream's text.
    """
    if not bootstrap:
        config = _load(kubeconfig, "unable to load kubeconfig")
        return ClientConfigs(config, config)
    if _still_valid(kubeconfig):
        config = _load(kubeconfig, "unable to load kubeconfig")
        return ClientConfigs(config, config)
    first = _load(bootstrap, "unable to load bootstrap kubeconfig")
    pair = f"{cert_dir}/kubelet-client-current.pem"
    client = first._replace(cert_file=pair, key_file=pair, cert_data=b"", key_data=b"", token="", token_file="")
    _write(client, kubeconfig)
    return ClientConfigs(first, client)


def load_plain(kubeconfig: str) -> RESTConfig:
    """The credentials with certificate rotation off."""
    return _load(kubeconfig, "invalid kubeconfig")


def _load(path: str, prefix: str) -> RESTConfig:
    try:
        return load(path).resolve()
    except KubeconfigError as error:
        raise BootstrapError(f"{prefix}: {error}") from error


def _write(config: RESTConfig, path: str) -> None:
    import base64

    cluster: dict[str, object] = {"server": config.server}
    if config.ca_data:
        cluster["certificate-authority-data"] = base64.b64encode(config.ca_data).decode()
    elif config.ca_file:
        cluster["certificate-authority"] = config.ca_file
    if config.insecure:
        cluster["insecure-skip-tls-verify"] = True
    document = {
        "apiVersion": "v1",
        "clusters": [{"cluster": cluster, "name": "default-cluster"}],
        "contexts": [
            {
                "context": {"cluster": "default-cluster", "namespace": "default", "user": "default-auth"},
                "name": "default-context",
            }
        ],
        "current-context": "default-context",
        "kind": "Config",
        "users": [
            {"name": "default-auth", "user": {"client-certificate": config.cert_file, "client-key": config.key_file}}
        ],
    }
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(mode=0o600)
    target.write_text(yaml.safe_dump(document, sort_keys=False))

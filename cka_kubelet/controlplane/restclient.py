"""The API client of a program that is told of a kubeconfig (client-go clientcmd.BuildConfigFromFlags)."""

import ssl

from cka_kubelet.controlplane.command import VERSION, StartError
from cka_kubelet.kube import klog, kubeconfig
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.clienttls import TLSError, tls_context
from cka_kubelet.kube.httpclient import HTTPClient
from cka_kubelet.kube.kubeconfig import KubeconfigError, RESTConfig

_WHY = "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined"


def configuration(path: str, master: str = "") -> RESTConfig:
    """What the kubeconfig says; `master`, a URL, goes before its server. Raises StartError."""
    if not path and not master:
        klog.raw(
            "W", "client_config.go:683",
            "Neither --kubeconfig nor --master was specified.  Using the inClusterConfig.  This might not work.",
        )  # fmt: skip
        klog.raw("W", "client_config.go:689", f"error creating inClusterConfig, falling back to default config: {_WHY}")
    try:
        document = kubeconfig.load(path) if path else kubeconfig.Kubeconfig("", {})
        if master:
            chosen = document.contexts.get(document.current_context, {}).get("cluster", "")
            document.clusters.setdefault(chosen, {})["server"] = master
        return document.resolve()
    except KubeconfigError as error:
        raise StartError(str(error)) from error


def connect(config: RESTConfig, program: str, timeout: float | None = None) -> APIClient:
    """A client with connections of its own. Raises StartError."""
    return client(config, credentials(config), program, timeout)


def credentials(config: RESTConfig) -> ssl.SSLContext | None:
    """The TLS context of a configuration. Raises StartError."""
    try:
        return tls_context(config)
    except TLSError as error:
        raise StartError(str(error)) from error


def client(config: RESTConfig, context: ssl.SSLContext | None, program: str, timeout: float | None = None) -> APIClient:
    """A client with connections of its own and a TLS context that it may share."""
    agent = f"{program}/{VERSION} (linux/amd64) kubernetes"
    http = HTTPClient(config.server, context, config.token or None, user_agent=agent, server_name=config.server_name)
    return APIClient(http, timeout)

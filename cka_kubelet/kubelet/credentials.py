"""The kubelet's API client and the client certificate behind it (app/server.go buildKubeletClientConfig)."""

from cka_kubelet.clock import Clock
from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.clienttls import TLSError, tls_context
from cka_kubelet.kube.httpclient import HTTPClient
from cka_kubelet.kube.kubeconfig import RESTConfig
from cka_kubelet.kube.pflag import ParsedFlags
from cka_kubelet.kubelet import bootstrap, observed
from cka_kubelet.kubelet.certrequest import CLIENT_SIGNER, CertificateManager, Template
from cka_kubelet.kubelet.clientcert import CertificateStore, StoreError, initial_pair
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.startup import StartError, fail


def _client(rest: RESTConfig, pair: bytes | None = None) -> HTTPClient:
    """`pair`, certificate and key, is used instead of what `rest` names. Raises TLSError."""
    if pair is not None:
        rest = rest._replace(cert_file="", key_file="", cert_data=pair, key_data=pair)
    client = HTTPClient(rest.server, tls_context(rest), rest.token or None, server_name=rest.server_name)
    client.observe = observed.client_call
    return client


class Credentials:
    """The API client; with rotation also the manager of its certificate.

    `first`: for asking for the first certificate, with other credentials; None when `api` does that too.
    """

    def __init__(self, rest: RESTConfig, pair: bytes | None, first: RESTConfig | None) -> None:
        self.rest = rest
        self.api = APIClient(_client(rest, pair))
        self.manager: CertificateManager | None = None
        self._first = APIClient(_client(first)) if first is not None else None

    def keep(self, store: CertificateStore, node_name: str, pair: bytes | None, force: bool, clock: Clock) -> None:
        """Have the certificate requested and rotated once `manager` runs."""
        template = Template(f"system:node:{node_name}")
        self.manager = CertificateManager(
            store, CLIENT_SIGNER, lambda: template, self._asking, clock, self.reload, pair, force=force
        )

    def _asking(self, valid: bool) -> APIClient:
        return self.api if valid or self._first is None else self._first

    def reload(self) -> None:
        """Use the manager's pair for new connections from now on."""
        if self.manager is None or self.manager.pair is None:
            return
        pair = self.manager.pair
        rest = self.rest._replace(cert_file="", key_file="", cert_data=pair, key_data=pair)
        context = tls_context(rest)
        if context is not None:
            self.api.http.set_ssl_context(context)


def load_credentials(
    flags: ParsedFlags, config: KubeletConfiguration, node_name: str, clock: Clock
) -> Credentials | None:
    """The API client, or None without --kubeconfig. Raises StartError with upstream's text."""
    kubeconfig = flags.text("kubeconfig")
    if not kubeconfig:
        klog.info("server.go:655", "Standalone mode, no API client")
        return None
    try:
        if config.get("rotateCertificates"):
            return _rotated(flags, kubeconfig, node_name, clock)
        return Credentials(bootstrap.load_plain(kubeconfig), None, None)
    except (bootstrap.BootstrapError, TLSError) as error:
        raise fail(error) from error


def _rotated(flags: ParsedFlags, kubeconfig: str, node_name: str, clock: Clock) -> Credentials:
    directory = flags.text("cert-dir", "/var/lib/kubelet/pki")
    klog.info("server.go:991", "Client rotation is on, will bootstrap in background")
    configs = bootstrap.load_client_config(kubeconfig, flags.text("bootstrap-kubeconfig"), directory)
    rest = configs.client
    store = CertificateStore(directory, "kubelet-client", rest.cert_file, rest.key_file)
    try:
        pair, force = initial_pair(store, rest.cert_data, rest.key_data)
    except StoreError as error:
        raise _manager_error(error) from error
    if pair is None:  # the rotating transport takes certificates from the manager alone
        rest = rest._replace(cert_file="", key_file="", cert_data=b"", key_data=b"")
    klog.info("server.go:1018", "Starting client certificate rotation", v=2)
    first = configs.certificates if configs.certificates is not configs.client else None
    credentials = Credentials(rest, pair, first)
    credentials.keep(store, node_name, pair, force, clock)
    return credentials


def _manager_error(error: StoreError) -> StartError:
    return fail(f"failed to initialize client certificate manager: {error}")

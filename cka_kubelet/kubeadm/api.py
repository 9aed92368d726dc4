"""The few API calls kubeadm needs: synchronous, one connection each, with a kubeconfig's credentials."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cka_kubelet.kube import kubeconfig
from cka_kubelet.kube.clienttls import TLSError, tls_context
from cka_kubelet.kube.kubeconfig import KubeconfigError, RESTConfig
from cka_kubelet.kubeadm.errors import Failure

TIMEOUT = 10.0


class API:
    """Raises Failure: with the server's own message when it answered, else with why it did not."""

    def __init__(self, config: RESTConfig) -> None:
        self.config = config

    @classmethod
    def of_file(cls, path: Path) -> "API":
        """With a kubeconfig's server and credentials. Raises Failure."""
        try:
            return cls(kubeconfig.load(str(path)).resolve())
        except (KubeconfigError, OSError) as error:
            raise Failure(f"failed to load admin kubeconfig: {error}") from error

    @classmethod
    def of_token(cls, server: str, token: str, ca: bytes) -> "API":
        """With a bearer token; without a token anonymously; without a CA whoever answers is believed."""
        return cls(RESTConfig(f"https://{server}", "", ca, "", b"", "", b"", token, "", not ca, "", ""))

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer's object."""
        url = urlsplit(self.config.server)
        host, port = url.hostname or "", url.port or 443
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=_context(self.config))
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self.config.token:
            headers["Authorization"] = f"Bearer {self.config.token}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Failure(f'{method.title()} "{self.config.server}{path}": {error}') from error
        finally:
            connection.close()
        if response.status >= 400:
            raise Failure(str(answer.get("message")))
        return dict(answer)


def _context(config: RESTConfig) -> ssl.SSLContext | None:
    try:
        context = tls_context(config)
    except TLSError as error:
        raise Failure(f"tls: {error}") from error
    if context is not None and not config.insecure:
        context.check_hostname = True  # http.client leaves that to it
    return context

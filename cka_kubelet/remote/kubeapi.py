"""The cluster's API server, asked by the trainer itself: HTTPS through the SSH connection to the control plane.

The credentials are read once, before a learner has a shell, and kept here. So neither a replaced kubectl, nor another
clock, nor an edited admin.conf on the node can speak for the cluster, and none of them can keep it from being asked.
"""

import base64
import http.client
import json
import socket
import ssl
import threading
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import yaml

from cka_kubelet.errors import CommandError, NodeError, NodeUnreachableError
from cka_kubelet.kube.keypair import load_pair

KUBECONFIG = "/etc/kubernetes/admin.conf"
ANSWER_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """`date`: when the server answered, by its own clock, whole seconds since the epoch. `body`: JSON, else text."""

    status: int
    date: float
    body: Any


class KubeAPI(Protocol):
    """One request, one answer. Raises NodeUnreachableError when there is none, CommandError for one of no use."""

    def request(self, method: str, path: str, body: object = None) -> Answer: ...

    def close(self) -> None:
        """End the connection; the next request makes another."""
        ...


class Gateway(Protocol):
    """What `SSHKubeAPI` needs of a shell."""

    @property
    def name(self) -> str: ...

    def read_file(self, path: str) -> bytes: ...

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection made from the node, as a socket here."""
        ...


class SSHKubeAPI:
    """See `KubeAPI`. Thread-safe; one connection, made anew when it broke."""

    def __init__(self, gateway: Gateway, kubeconfig: str = KUBECONFIG, timeout: float = 10.0) -> None:
        self._gateway = gateway
        self._kubeconfig = kubeconfig
        self._timeout = timeout
        self._lock = threading.Lock()
        self._server: tuple[str, int, ssl.SSLContext] | None = None
        self._connection: http.client.HTTPConnection | None = None

    def request(self, method: str, path: str, body: object = None) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        with self._lock:
            for last in (False, True):  # an idle connection that has died shows only when it is used
                fresh = self._connection is None
                try:
                    connection = self._connected()
                    connection.request(method, path, data, headers)
                    return self._read(connection.getresponse())
                except (OSError, http.client.HTTPException) as err:
                    self._drop()
                    if last or fresh:
                        raise NodeUnreachableError(
                            f"the API server on {self._gateway.name} does not answer: {err or type(err).__name__}",
                            "Is it running? `crictl ps -a` and `systemctl status kube-apiserver` there tell.",
                        ) from None
                except BaseException:
                    self._drop()  # half an answer may be left in it
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            if self._server is None:
                self._server = _parse(self._gateway.name, self._gateway.read_file(self._kubeconfig))
            host, port, context = self._server
            raw = self._gateway.connect(host, port)
            raw.settimeout(self._timeout)
            try:
                tls = context.wrap_socket(raw, server_hostname=host)
            except BaseException:
                raw.close()
                raise
            self._connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
            self._connection.sock = tls
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self, response: http.client.HTTPResponse) -> Answer:
        text = response.read(ANSWER_LIMIT)  # what is longer is cut, and then no JSON
        try:
            date = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
            is_json = response.headers.get_content_type() == "application/json"
            return Answer(response.status, date, json.loads(text) if is_json else text.decode())
        except ValueError as err:
            self._drop()  # the rest of it may still be on its way
            raise CommandError(f"the API server on {self._gateway.name} gave no usable answer: {err}") from None


def _parse(name: str, text: bytes) -> tuple[str, int, ssl.SSLContext]:
    """Host, port and trust of a kubeconfig that holds its certificates inline, as kubeadm's do. Raises NodeError."""
    try:
        config = yaml.safe_load(text)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        url = urlsplit(cluster["server"])
        context = ssl.create_default_context(cadata=_data(cluster, "certificate-authority-data").decode())
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Go's clients take certificates made by hand as well
        load_pair(context, _data(user, "client-certificate-data"), _data(user, "client-key-data"))
        return str(url.hostname), url.port or 443, context
    except (yaml.YAMLError, LookupError, TypeError, ValueError, ssl.SSLError):
        raise NodeError(
            f"{name}: {KUBECONFIG} is not a kubeconfig with certificates in it", "A healthy control plane has one."
        ) from None


def _data(entry: dict[str, str], key: str) -> bytes:
    return base64.b64decode(entry[key], validate=True)

"""`--etcd-servers` with its three TLS flags: where etcd is, and how to get a gRPC connection to it.

Failures are worded as etcd's Go client and grpc-go word them in upstream's API server.
"""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cka_kubelet.cri.errors import ConnectError
from cka_kubelet.cri.transport import Connection
from cka_kubelet.kube import connection as tcp
from cka_kubelet.kube import pem
from cka_kubelet.kube.gofmt import path_error

_BASE_DELAY, _MULTIPLIER, _JITTER = 1.0, 1.6, 0.2
_MAX_DELAY = 5.0
"""grpc-go's back-off, but for its maximum of 120 s: upstream's API server is restarted by its probes long before."""
_KEEPALIVE_TIME, _KEEPALIVE_TIMEOUT = 30.0, 10.0
"""Seconds without a word from etcd until it is asked, and then until it is given up (`storagebackend/factory`)."""
_READ_SIZE = 65536
_OTHER_WORDS = {
    "http: server gave HTTP response to HTTPS client": "tls: first record does not look like a TLS handshake",
    "net/http: TLS handshake timeout": "context deadline exceeded",
}
"""Where grpc-go does not say what net/http says."""


class Files(NamedTuple):
    """Paths, "" where there is none."""

    ca: str
    certificate: str
    key: str


def client_context(files: Files) -> ssl.SSLContext | None:
    """What to speak TLS with; None when no file is given at all. Raises ValueError with upstream's text."""
    if not any(files):
        return None
    if bool(files.certificate) != bool(files.key):
        raise ValueError(f"KeyFile and CertFile must both be present[key: {files.key}, cert: {files.certificate}]")
    certificate, key, roots = (_content(path) for path in (files.certificate, files.key, files.ca))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # kube.connection checks the name, in Go's words
    context.set_alpn_protocols(["h2"])
    if not files.ca:
        context.load_default_certs()
    elif pem.has_certificates(roots):  # without any Go has an empty pool, and complains when it verifies
        context.load_verify_locations(files.ca)
    if files.certificate:
        pem.check_pair(certificate, key)
        context.load_cert_chain(files.certificate, files.key)
    return context


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError as error:
        raise ValueError(path_error("open", path, error)) from error


class Servers:
    """An endpoint for a gRPC channel: the first server that answers, the next one after a failure."""

    def __init__(self, urls: list[str], context: ssl.SSLContext | None) -> None:
        self._urls = urls
        self._context = context
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.shown = ""

    def delay(self, retries: int, chance: float) -> float:
        """grpc-go's exponential back-off."""
        return float(min(_BASE_DELAY * _MULTIPLIER**retries, _MAX_DELAY)) * (1 + _JITTER * (2 * chance - 1))

    async def open(self, on_close: Callable[[Connection], None]) -> Connection:
        """Dial the next server. Raises ConnectError."""
        url = self._urls[self._next % len(self._urls)]
        self._next += 1
        scheme, address = _split(url)
        name = url.rpartition("//")[2]
        self.shown = (
            f'{{Addr: "{address}", ServerName: "{name}", BalancerAttributes: '
            '{"<%!p(pickfirstleaf.managedByPickfirstKeyType={})>": "<%!p(bool=true)>" }}'
        )
        context = None if scheme == "http" else self._context
        host, port = _host_port(address)
        try:
            link = await tcp.dial(host, port, context, host)
        except tcp.DialError as error:
            raise ConnectError(_failure(str(error))) from error
        scheme = "http" if context is None else "https"
        connection = Connection(_route(link.writer), on_close, name, scheme)
        connection.connection_made(link.writer.transport)
        for work in (_read(link, connection), _keep_alive(connection)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await connection.greeted()
        return connection


def _split(url: str) -> tuple[str, str]:
    scheme, separator, rest = url.partition("://")
    return (scheme, rest.rstrip("/")) if separator and scheme in ("http", "https") else ("", url)


def _host_port(address: str) -> tuple[str, int]:
    """Host and port, as Go's net.SplitHostPort. Raises ConnectError."""
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    problem = ""
    if not colon:
        problem = "missing port in address"
    elif ":" in host and not bracketed:
        problem = "too many colons in address"
    if problem:
        raise ConnectError(f"transport: Error while dialing: dial tcp: address {address}: {problem}")
    if not port.isdecimal() or int(port) > 65535:
        what = f"address {port}: invalid port" if port.isdecimal() else f"lookup tcp/{port}: unknown port"
        raise ConnectError(f"transport: Error while dialing: dial tcp: {what}")
    return host.strip("[]"), int(port)


def _failure(text: str) -> str:
    if text.startswith("dial tcp"):
        return f"transport: Error while dialing: {text}"
    return f"transport: authentication handshake failed: {_OTHER_WORDS.get(text, text)}"


def _route(writer: asyncio.StreamWriter) -> str:
    local, peer = (writer.get_extra_info(name) or ("", 0) for name in ("sockname", "peername"))
    return f"tcp {tcp.host_port(local[0], local[1])}->{tcp.host_port(peer[0], peer[1])}"


async def _read(link: tcp.Connection, connection: Connection) -> None:
    """Hand on what comes until the connection ends."""
    try:
        while data := await link.reader.read(_READ_SIZE):
            connection.data_received(data)
    except OSError as error:
        connection.lost(link.read_error(error))
    else:
        connection.lost("EOF")
    link.close()


async def _keep_alive(connection: Connection) -> None:
    """End a connection whose server says nothing any more, not even when asked."""
    now = asyncio.get_running_loop().time
    while not connection.closed:
        await asyncio.sleep(max(connection.heard + _KEEPALIVE_TIME - now(), 1.0))
        if connection.closed or now() < connection.heard + _KEEPALIVE_TIME:
            continue
        asked = now()
        connection.ping()
        await asyncio.sleep(_KEEPALIVE_TIMEOUT)
        if connection.heard < asked and not connection.closed:
            connection.fail("keepalive ping failed to receive ACK within timeout")

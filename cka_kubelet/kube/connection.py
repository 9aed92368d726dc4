"""One client connection: dial, TLS, h11 state; and what Go would have said about each way it can fail."""

import asyncio
import errno
import ipaddress
import os
import socket
import ssl
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import h11

from cka_kubelet.kube import sslbuffers
from cka_kubelet.kube.gofmt import errno_text

_DIAL_SECONDS = 30.0
_TLS_SECONDS = 10.0
_READ_SIZE = 65536
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21, 24, 27}
_EXPIRED, _NOT_YET_VALID = 10, 9
_ALERTS = {
    "UNKNOWN_CA": "unknown certificate authority",
    "BAD_CERTIFICATE": "bad certificate",
    "CERTIFICATE_REQUIRED": "certificate required",
    "CERTIFICATE_EXPIRED": "expired certificate",
    "CERTIFICATE_REVOKED": "revoked certificate",
    "CERTIFICATE_UNKNOWN": "unknown certificate",
    "HANDSHAKE_FAILURE": "handshake failure",
    "PROTOCOL_VERSION": "protocol version not supported",
    "DECRYPT_ERROR": "error decrypting message",
    "INTERNAL_ERROR": "internal error",
}


class DialError(Exception):
    """The connection could not be made. `refused`: nobody listens there."""

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


def host_port(host: str, port: int) -> str:
    """`10.0.0.2:6443`, `[::1]:6443`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Connection:
    """A dialled connection with its protocol state."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._h11 = h11.Connection(h11.CLIENT)
        self._route = _route(writer)

    async def send(self, head: h11.Request, body: bytes | None) -> None:
        """Send a request with its whole body."""
        data = self._h11.send(head) or b""
        if body:
            data += self._h11.send(h11.Data(data=body)) or b""
        data += self._h11.send(h11.EndOfMessage()) or b""
        self.writer.write(data)
        await self.writer.drain()

    async def next_event(self) -> h11.Event:
        """The next protocol event; waits for bytes when needed."""
        while True:
            event = self._h11.next_event()
            if event is h11.PAUSED:
                return h11.ConnectionClosed()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]  # the two marks above are the only non-events
            self._h11.receive_data(await self.reader.read(_READ_SIZE))

    def trailing(self) -> bytes:
        """Bytes already read that belong to the upgraded protocol."""
        return bytes(self._h11.trailing_data[0])

    def usable(self) -> bool:
        """Whether a kept-alive connection may still be written to."""
        return not (self.reader.at_eof() or self.writer.is_closing())

    def recycle(self) -> bool:
        """Make ready for another request. False when the connection must be closed."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return self.usable()

    def close(self) -> None:
        """Close at once; never waits."""
        with suppress(OSError, RuntimeError):
            self.writer.transport.abort()

    def read_error(self, error: BaseException) -> str:
        """What Go says about `error`, met while writing the request or reading the answer."""
        if isinstance(error, ssl.SSLError):
            return _tls_error(error)
        if isinstance(error, OSError) and error.errno:
            return f"read tcp {self._route}: read: {errno_text(error)}"
        if isinstance(error, h11.RemoteProtocolError):
            text = str(error)
            if "ConnectionClosed" in text:  # closed before the answer began
                return "EOF"
            if "closed connection" in text:
                return "unexpected EOF"
            return f"net/http: HTTP/1.x transport connection broken: {text}"
        return "EOF"


def _route(writer: asyncio.StreamWriter) -> str:
    local, peer = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
    if not (isinstance(local, tuple) and isinstance(peer, tuple)):
        return ""
    return f"{host_port(local[0], local[1])}->{host_port(peer[0], peer[1])}"


async def dial(host: str, port: int, context: ssl.SSLContext | None, server_name: str) -> Connection:
    """Connect, and with `context` do TLS and check the server's name. Raises DialError with Go's text."""
    sock = await _connect(host, port)
    if context is None:
        return Connection(*await asyncio.open_connection(sock=sock))
    sslbuffers.small()
    route = f"{_name(sock.getsockname)}->{host_port(host, port)}"
    try:
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=context, server_hostname=server_name, ssl_handshake_timeout=_TLS_SECONDS
        )
    except ssl.SSLCertVerificationError as error:
        sock.close()
        raise DialError(f"tls: failed to verify certificate: {await _verify_error(error, host, port)}") from error
    except ssl.SSLError as error:
        sock.close()
        raise DialError(_tls_error(error)) from error
    except OSError as error:
        sock.close()
        if error.errno:
            raise DialError(f"read tcp {route}: read: {errno_text(error)}") from error
        raise DialError(
            "net/http: TLS handshake timeout" if "timeout" in str(error) or "longer" in str(error) else "EOF"
        ) from error
    problem = _name_error(writer, server_name) if context.verify_mode != ssl.CERT_NONE else None
    if problem is not None:
        writer.transport.abort()
        raise DialError(f"tls: failed to verify certificate: x509: {problem}")
    return Connection(reader, writer)


def _name(getter: object) -> str:
    with suppress(OSError, TypeError, IndexError):
        address = getter()  # type: ignore[operator]  # a socket's bound method
        return host_port(address[0], address[1])
    return ""


async def _connect(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        address = ipaddress.ip_address(host)
        targets: list[tuple[int, str]] = [(socket.AF_INET6 if address.version == 6 else socket.AF_INET, host)]
    except ValueError:
        targets = await _lookup(host, port)
    last: DialError | None = None
    for family, target in targets:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        where = host_port(target, port)
        try:
            async with asyncio.timeout(_DIAL_SECONDS):
                await loop.sock_connect(sock, (target, port))
        except TimeoutError:
            last = DialError(f"dial tcp {where}: i/o timeout")
        except OSError as error:
            refused = error.errno == errno.ECONNREFUSED
            last = DialError(f"dial tcp {where}: connect: {errno_text(error)}", refused=refused)
        except BaseException:
            sock.close()
            raise
        else:
            return sock
        sock.close()
    raise last or DialError(f"dial tcp: lookup {host}: no such host")


async def _lookup(host: str, port: int) -> list[tuple[int, str]]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        where = f"lookup {host} on {_nameserver()}"
        if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            raise DialError(f"dial tcp: {where}: no such host") from error
        if error.errno == socket.EAI_AGAIN:
            raise DialError(f"dial tcp: {where}: i/o timeout") from error
        raise DialError(f"dial tcp: {where}: server misbehaving") from error
    return [(int(family), str(address[0])) for family, _, _, _, address in found]


def _nameserver() -> str:
    with suppress(OSError):
        for line in Path("/etc/resolv.conf").read_text().splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                return host_port(words[1], 53)
    return "127.0.0.1:53"


def _tls_error(error: ssl.SSLError) -> str:
    reason = (error.reason or "").replace("TLSV1_ALERT_", "").replace("TLSV13_ALERT_", "").replace("SSLV3_ALERT_", "")
    if reason in _ALERTS:
        return f"remote error: tls: {_ALERTS[reason]}"
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"):
        return "http: server gave HTTP response to HTTPS client"
    if reason == "UNEXPECTED_EOF_WHILE_READING" or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "EOF"
    return f"tls: {(error.reason or str(error)).lower().replace('_', ' ')}"


async def _verify_error(error: ssl.SSLCertVerificationError, host: str, port: int) -> str:
    if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
        times = await asyncio.to_thread(_validity, host, port)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if times is not None and error.verify_code == _EXPIRED:
            return f"x509: certificate has expired or is not yet valid: current time {now} is after {times[1]}"
        if times is not None:
            return f"x509: certificate has expired or is not yet valid: current time {now} is before {times[0]}"
        return "x509: certificate has expired or is not yet valid"
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return "x509: certificate signed by unknown authority"
    return f"x509: {error.verify_message}"


def _validity(host: str, port: int) -> tuple[str, str] | None:
    """notBefore and notAfter of the certificate that a server shows, RFC 3339. None when it cannot be had."""
    try:
        pem = ssl.get_server_certificate((host, port), timeout=5)
    except (OSError, ValueError):
        return None
    fd, path = tempfile.mkstemp()
    try:
        os.write(fd, pem.encode())
        decoded = ssl._ssl._test_decode_cert(path)  # type: ignore[attr-defined]  # the only decoder in the standard library
    except (OSError, ssl.SSLError):
        return None
    finally:
        os.close(fd)
        Path(path).unlink()
    stamps = [ssl.cert_time_to_seconds(decoded[key]) for key in ("notBefore", "notAfter")]
    before, after = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp)) for stamp in stamps)
    return before, after


def _name_error(writer: asyncio.StreamWriter, server_name: str) -> str | None:
    names = writer.get_extra_info("peercert", {}).get("subjectAltName", ())
    addresses = [value for kind, value in names if kind == "IP Address"]
    dns = [value for kind, value in names if kind == "DNS"]
    try:
        wanted = ipaddress.ip_address(server_name)
    except ValueError:
        return _dns_error(server_name, dns, addresses)
    if not addresses:
        return f"cannot validate certificate for {server_name} because it doesn't contain any IP SANs"
    if any(ipaddress.ip_address(value) == wanted for value in addresses):
        return None
    return f"certificate is valid for {', '.join(addresses)}, not {server_name}"


def _dns_error(server_name: str, dns: list[str], addresses: list[str]) -> str | None:
    if not dns:
        if addresses:
            return f"certificate is not valid for any names, but wanted to match {server_name}"
        return "certificate relies on legacy Common Name field, use SANs instead"
    wanted = server_name.lower().rstrip(".")
    for pattern in (value.lower() for value in dns):
        if pattern == wanted or (pattern.startswith("*.") and "." in wanted and wanted.split(".", 1)[1] == pattern[2:]):
            return None
    return f"certificate is valid for {', '.join(dns)}, not {server_name}"

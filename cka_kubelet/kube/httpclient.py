"""HTTP/1.1 client on asyncio and h11, with Go's error texts.

`TransportError` is what happens when there was no answer; str() of it is what net/http would have said, e.g.
`Get "https://10.0.0.2:6443/…": dial tcp 10.0.0.2:6443: connect: connection refused`.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

import h11

from cka_kubelet.kube.connection import Connection, DialError, dial

_MAX_IDLE = 4
_IDLE_SECONDS = 90.0
CLIENT_TIMEOUT = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
DIAL_TIMEOUT = (
    "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)"
)

Headers = list[tuple[str, str]]


class TransportError(Exception):
    """No answer from the server. `detail` is the cause alone; `refused`: nobody listens there."""

    def __init__(self, method: str, url: str, detail: str, *, refused: bool = False) -> None:
        super().__init__(f'{method.capitalize()} "{url}": {detail}')
        self.detail = detail
        self.refused = refused


class HTTPResponse(NamedTuple):
    """A whole answer. Header names are lower case."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str:
        """First value of a header, "" when absent."""
        return next((value for key, value in self.headers if key == name), "")


class Upgraded(NamedTuple):
    """A connection taken over after the answer's headers. When `status` is not 101, the body begins with `leftover`."""

    status: int
    headers: Headers
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    leftover: bytes


class Stream:
    """An answer whose body is read as it comes."""

    def __init__(self, client: "HTTPClient", method: str, url: str, connection: Connection) -> None:
        self._client = client
        self._method = method
        self._url = url
        self._connection = connection
        self.status = 0
        self.headers: Headers = []

    async def chunks(self) -> AsyncIterator[bytes]:
        """Pieces of the body, as they arrive. Raises TransportError when the connection breaks."""
        while True:
            try:
                event = await self._connection.next_event()
            except (OSError, h11.RemoteProtocolError) as error:
                raise TransportError(self._method, self._url, self._connection.read_error(error)) from error
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return

    async def lines(self) -> AsyncIterator[bytes]:
        """The body, line by line, without line ends."""
        rest = bytearray()
        async for chunk in self.chunks():
            rest += chunk
            *complete, tail = rest.split(b"\n")
            rest = bytearray(tail)
            for line in complete:
                yield bytes(line)
        if rest:
            yield bytes(rest)

    async def read(self) -> bytes:
        """The rest of the body."""
        return b"".join([chunk async for chunk in self.chunks()])


class HTTPClient:
    """One server, one pool of kept-alive connections.

    `base_url` has scheme, host, port and perhaps a path. With `ssl_context` the server's name is checked here, not by
    OpenSSL, so that the message can name the certificate's own names. `token` is sent as a bearer token.
    """

    def __init__(
        self,
        base_url: str,
        ssl_context: ssl.SSLContext | None = None,
        token: str | None = None,
        *,
        user_agent: str = "kubelet/v1.36.2+cka (linux/amd64) kubernetes",
        server_name: str = "",
    ) -> None:
        parts = urlsplit(base_url)
        self.base_url = base_url.rstrip("/")
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self._prefix = parts.path.rstrip("/")
        self._authority = parts.netloc.rpartition("@")[2]
        self.server_name = server_name
        self.token = token
        self.user_agent = user_agent
        self._tls = ssl_context if parts.scheme == "https" else None
        if self._tls is not None:
            self._tls.check_hostname = False
        self._idle: list[tuple[float, Connection]] = []
        self.observe: Callable[[str, str, str, float, int, int | None], None] | None = None
        """Told of each request's end: method, host and port, status code or `<error>`, seconds, bytes each way."""

    def set_ssl_context(self, context: ssl.SSLContext) -> None:
        """Use other credentials from now on; kept-alive connections are closed."""
        context.check_hostname = False
        self._tls = context
        self.close_idle()

    def close_idle(self) -> None:
        """Close the connections that wait for a next request."""
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()

    def _take_idle(self) -> Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            since, connection = self._idle.pop()
            if now - since < _IDLE_SECONDS and connection.usable():
                return connection
            connection.close()
        return None

    def _release(self, connection: Connection) -> None:
        if connection.recycle() and len(self._idle) < _MAX_IDLE:
            self._idle.append((asyncio.get_running_loop().time(), connection))
        else:
            connection.close()

    def _head(self, method: str, path: str, headers: Iterable[tuple[str, str]], length: int | None) -> h11.Request:
        all_headers = [("Host", self._authority), ("User-Agent", self.user_agent)]
        if self.token is not None:
            all_headers.append(("Authorization", f"Bearer {self.token}"))
        if length is not None:
            all_headers.append(("Content-Length", str(length)))
        all_headers += list(headers)
        return h11.Request(method=method, target=self._prefix + path, headers=all_headers)

    async def _open(self, method: str, url: str) -> Connection:
        try:
            return await dial(self.host, self.port, self._tls, self.server_name or self.host)
        except DialError as error:
            raise TransportError(method, url, str(error), refused=error.refused) from error

    async def _exchange(self, connection: Connection, head: h11.Request, body: bytes | None) -> h11.Response:
        await connection.send(head, body)
        while True:
            event = await connection.next_event()
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                return event  # type: ignore[return-value]  # same shape; only upgrade() asks for it
            if isinstance(event, h11.ConnectionClosed):
                raise EOFError  # noqa: TRY004  # not a wrong type: the peer hung up

    async def _start(
        self, method: str, path: str, body: bytes | None, headers: Iterable[tuple[str, str]], *, fresh: bool = False
    ) -> tuple[Connection, h11.Response]:
        url = self.base_url + path
        headers = list(headers)
        length = len(body) if body is not None else (0 if method in ("POST", "PUT", "PATCH") else None)
        head = self._head(method, path, headers, length)
        while True:
            reused = None if fresh else self._take_idle()
            connection = reused or await self._open(method, url)
            try:
                return connection, await self._exchange(connection, head, body)
            except (OSError, EOFError, h11.RemoteProtocolError, h11.LocalProtocolError) as error:
                connection.close()
                if reused is not None:  # the server closed it while it was idle: not this request's fault
                    continue
                raise TransportError(method, url, connection.read_error(error)) from error
            except BaseException:
                connection.close()
                raise

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Iterable[tuple[str, str]] = (),
        timeout: float | None = None,
    ) -> HTTPResponse:
        """Send one request and read the whole answer. `timeout` in seconds. Raises TransportError."""
        began, code, size = time.monotonic(), "<error>", None
        try:
            async with asyncio.timeout(timeout):
                connection, response = await self._start(method, path, body, headers)
                stream = Stream(self, method, self.base_url + path, connection)
                try:
                    content = await stream.read()
                except BaseException:
                    connection.close()
                    raise
            code, size = str(response.status_code), len(content)
        except TimeoutError as error:
            raise TransportError(method, self.base_url + path, CLIENT_TIMEOUT) from error
        finally:
            if self.observe is not None:
                self.observe(method, self._authority, code, time.monotonic() - began, len(body or b""), size)
        self._release(connection)
        return HTTPResponse(response.status_code, _decode_headers(response), content)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Iterable[tuple[str, str]] = (),
        timeout: float | None = None,
    ) -> AsyncIterator[Stream]:
        """Send one request; the body is read by the caller. `timeout`: seconds until the answer's headers."""
        began, code = time.monotonic(), "<error>"
        try:
            async with asyncio.timeout(timeout):
                connection, response = await self._start(method, path, body, headers)
            code = str(response.status_code)
        except TimeoutError as error:
            raise TransportError(method, self.base_url + path, CLIENT_TIMEOUT) from error
        finally:
            if self.observe is not None:
                self.observe(method, self._authority, code, time.monotonic() - began, len(body or b""), None)
        stream = Stream(self, method, self.base_url + path, connection)
        stream.status, stream.headers = response.status_code, _decode_headers(response)
        try:
            yield stream
        finally:
            connection.close()

    async def upgrade(self, method: str, path: str, headers: Iterable[tuple[str, str]]) -> Upgraded:
        """Send an upgrade request (the caller gives Connection and Upgrade) and hand over the raw connection."""
        connection, response = await self._start(method, path, None, headers, fresh=True)
        leftover = connection.trailing()
        return Upgraded(response.status_code, _decode_headers(response), connection.reader, connection.writer, leftover)


def _decode_headers(response: h11.Response) -> Headers:
    return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers]

"""A gRPC channel to one endpoint: dials when needed, dials again for ever, and fails calls meanwhile.

States and pace are grpc-go's: idle (the next call dials), connecting (calls wait), transient failure (calls fail at
once with the last error, while the channel goes on dialling), ready.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

from cka_kubelet.cri.errors import ConnectError, RpcError
from cka_kubelet.cri.transport import Connection, Stream

BASE_DELAY = 0.1
MAX_DELAY = 3.0
MULTIPLIER = 1.6
JITTER = 0.2
"""Seconds and factors between dials, as upstream's CRI client sets them (k8s.io/cri-client remote_runtime.go)."""


class Logger(Protocol):
    """Where failures are written. The module `cka_kubelet.kube.klog` is one."""

    def error(self, source: str, msg: str, /, err: object | None = None, **kv: object) -> None: ...

    def raw(self, severity: str, source: str, text: str, /) -> None: ...


def delay(retries: int, chance: float) -> float:
    """Seconds to wait after dial number `retries` (from 0) failed. `chance` is a random number in [0, 1)."""
    if retries == 0:
        return BASE_DELAY
    return float(min(BASE_DELAY * MULTIPLIER**retries, MAX_DELAY)) * (1 + JITTER * (2 * chance - 1))


class Endpoint(Protocol):
    """Where a channel leads. `shown` is how grpc-go's log names it."""

    shown: str

    def delay(self, retries: int, chance: float) -> float:
        """Seconds to wait after dial number `retries` (from 0) failed. `chance` is a random number in [0, 1)."""
        ...

    async def open(self, on_close: Callable[[Connection], None]) -> Connection:
        """Dial. Raises ConnectError."""
        ...


class Socket:
    """A unix socket on this machine, dialled at the pace of upstream's CRI client."""

    def __init__(self, path: str) -> None:
        self.shown = f'{{Addr: "{path}", ServerName: "localhost", }}'
        self.delay = delay
        self._path = path

    async def open(self, on_close: Callable[[Connection], None]) -> Connection:
        """Dial."""
        return await Connection.open(self._path, on_close)


class Channel:
    """Calls on whatever connection there is. `number` is the channel's in upstream's log lines (1, 4, …)."""

    def __init__(self, endpoint: str | Endpoint, log: Logger | None = None, number: int = 1) -> None:
        self._endpoint = Socket(endpoint) if isinstance(endpoint, str) else endpoint
        self._log = log
        self._name = f"[Channel #{number} SubChannel #{number + 1}]"
        self._connection: Connection | None = None
        self._dialer: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None
        self._failure: RpcError | None = None

    async def start(
        self, method: str, message: bytes, timeout: float | None, *, last: bool = True
    ) -> tuple[Connection, Stream]:
        """Send a request; without `last`, more messages follow on its stream.

        Raises RpcError Unavailable when there is no connection and the last dial failed.
        """
        while (connection := self._connection) is None or connection.hung_up():
            if self._dialer is None:
                self._dial()
            if self._failure is not None:
                raise self._failure
            if self._first is not None:
                await asyncio.shield(self._first)
        return connection, connection.start(method, message, timeout, last=last)

    async def ready(self) -> None:
        """Wait for a connection, however long it takes."""
        while self._connection is None or self._connection.hung_up():
            if self._dialer is None:
                self._dial()
            if self._dialer is not None:
                await asyncio.shield(self._dialer)

    async def close(self) -> None:
        """Drop the connection and stop dialling."""
        dialer, self._dialer = self._dialer, None
        if dialer is not None:
            dialer.cancel()
            await asyncio.gather(dialer, return_exceptions=True)
        if self._connection is not None:
            self._connection.close()

    def _dial(self) -> None:
        self._first = asyncio.get_running_loop().create_future()
        self._dialer = asyncio.create_task(self._dial_until_ready())

    async def _dial_until_ready(self) -> None:
        retries = 0
        try:
            while True:
                try:
                    self._connection = await self._endpoint.open(self._lost)
                except ConnectError as e:
                    self._failed(e)
                    await asyncio.sleep(self._endpoint.delay(retries, random.random()))  # noqa: S311 - jitter, not a secret
                    retries += 1
                else:
                    self._failure = None
                    return
        finally:
            self._dialer = None
            self._release()

    def _failed(self, error: ConnectError) -> None:
        self._failure = RpcError("Unavailable", str(error))
        self._release()
        if self._log is not None:
            shown = self._endpoint.shown
            text = f"[core] {self._name} grpc: addrConn.createTransport failed to connect to {shown}. Err: {error}"
            self._log.raw("W", "logging.go:55", text)

    def _release(self) -> None:
        """Let the calls go that wait for the outcome of the first dial."""
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    def _lost(self, connection: Connection) -> None:
        if self._connection is connection:
            self._connection = None

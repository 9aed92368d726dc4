"""etcd's v3 API, as far as an API server needs it: Range, Txn, Watch, Compact, LeaseGrant."""

import asyncio
import random
from typing import Any

from cka_kubelet.controlplane.etcd import messages
from cka_kubelet.controlplane.etcd.messages import Message
from cka_kubelet.cri.channel import Channel, Endpoint, Logger
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.cri.transport import Connection, Stream

_RETRIES = 100
_RETRY_SECONDS = 0.025
"""How etcd's Go client repeats a call that cannot do harm twice, while there is no connection (clientv3/options.go)."""


class EtcdError(Exception):
    """A call failed. str() is what upstream's API server passes on to its clients.

    `deadline`: no answer in time. `go`: how Go prints the error with %#v, for the log.
    """

    def __init__(self, text: str, go: str = "", *, deadline: bool = False) -> None:
        super().__init__(text)
        self.go = go
        self.deadline = deadline


def _failed(error: RpcError) -> EtcdError:
    if error.desc.startswith("etcdserver: "):
        return EtcdError(error.desc, f'rpctypes.EtcdError{{code:0x{_code(error.code):x}, desc:"{error.desc}"}}')
    if error.code == "DeadlineExceeded":
        return EtcdError("context deadline exceeded", "context.deadlineExceededError{}", deadline=True)
    return EtcdError(str(error), f"&status.Error{{s:(*status.Status)(0xc{id(error) & 0xFFFFFFFFF:09x})}}")


def _code(name: str) -> int:
    from cka_kubelet.cri.errors import CODES

    return CODES.index(name) if name in CODES else 2


class Watch:
    """A stream of WatchResponse messages."""

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream

    async def next(self) -> Message:
        """The next response. Raises EtcdError when there will be none."""
        try:
            data = await self._stream.message()
            if data is None:
                raise EtcdError("watch stream closed")
            return messages.decode("WatchResponse", data)
        except RpcError as error:
            raise _failed(error) from error
        except messages.DecodeError as error:
            raise EtcdError(str(error)) from error

    def progress(self) -> None:
        """Ask for a response without events: it tells how far the watch has come."""
        if not self._connection.closed:
            self._connection.send(self._stream, messages.encode("WatchRequest", {"progress": {}}))

    def cancel(self) -> None:
        """End it."""
        self._connection.cancel(self._stream)


class Client:
    """Calls to etcd. All raise EtcdError."""

    def __init__(self, endpoint: Endpoint, log: Logger) -> None:
        self._channel = Channel(endpoint, log)

    async def connected(self, timeout: float) -> None:
        """Wait for a connection. Raises TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            await self._channel.ready()

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()

    async def range(self, timeout: float, **request: Any) -> Message:
        """Read keys, with everything that was written before the call."""
        return await self._repeated("KV/Range", "RangeRequest", "RangeResponse", request, timeout)

    async def txn(self, timeout: float, **request: Any) -> Message:
        """Compare and write. After a failure it may or may not have happened."""
        return await self._call("KV/Txn", "TxnRequest", "TxnResponse", request, timeout)

    async def compact(self, timeout: float, revision: int) -> None:
        """Forget what was before `revision`."""
        await self._call("KV/Compact", "CompactionRequest", "CompactionResponse", {"revision": revision}, timeout)

    async def lease_grant(self, timeout: float, ttl: int) -> int:
        """A new lease of `ttl` seconds; its number."""
        answer = await self._call("Lease/LeaseGrant", "LeaseGrantRequest", "LeaseGrantResponse", {"ttl": ttl}, timeout)
        return int(answer["id"])

    async def watch(self, key: bytes, range_end: bytes, start_revision: int) -> Watch:
        """Events of a range of keys, from a revision on."""
        create = {"key": key, "range_end": range_end, "start_revision": start_revision, "progress_notify": 1}
        data = messages.encode("WatchRequest", {"create": create})
        try:
            return Watch(*await self._channel.start("/etcdserverpb.Watch/Watch", data, None, last=False))
        except RpcError as error:
            raise _failed(error) from error

    async def _repeated(self, method: str, request: str, response: str, values: Message, timeout: float) -> Message:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        for attempt in range(_RETRIES):
            try:
                return await self._once(method, request, response, values, end - loop.time())
            except RpcError as error:
                if error.code != "Unavailable" or attempt == _RETRIES - 1:
                    raise _failed(error) from error
            await asyncio.sleep(_RETRY_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311  # jitter, not a secret
        raise AssertionError  # the last attempt returns or raises

    async def _call(self, method: str, request: str, response: str, values: Message, timeout: float) -> Message:
        try:
            return await self._once(method, request, response, values, timeout)
        except RpcError as error:
            raise _failed(error) from error

    async def _once(self, method: str, request: str, response: str, values: Message, timeout: float) -> Message:
        data = messages.encode(request, values)
        try:
            async with asyncio.timeout(timeout):
                connection, stream = await self._channel.start(f"/etcdserverpb.{method}", data, timeout)
                try:
                    answer = await stream.message()
                    if answer is None:
                        raise RpcError("Internal", "server closed the stream without sending an answer")
                    await stream.message()  # the status: an answer without it is none
                except asyncio.CancelledError:
                    connection.cancel(stream)
                    raise
        except TimeoutError:
            raise RpcError("DeadlineExceeded", "context deadline exceeded") from None
        try:
            return messages.decode(response, answer)
        except messages.DecodeError as error:
            raise RpcError("Internal", str(error)) from error

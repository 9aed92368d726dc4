"""An etcd for tests: real HTTP/2 on a loopback port, keys in a dict, one history of events.

It can be told to answer with an error, to say nothing, to hang up and to go back to an older state.
"""

import asyncio
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events

from cka_kubelet.controlplane.etcd import messages
from cka_kubelet.cri.errors import CODES

_REQUESTS = {
    "Range": "RangeRequest",
    "Txn": "TxnRequest",
    "Compact": "CompactionRequest",
    "Watch": "WatchRequest",
    "LeaseGrant": "LeaseGrantRequest",
}


class Pair(NamedTuple):
    """A key's value and revisions."""

    value: bytes
    mod_revision: int
    version: int


class _Call:
    def __init__(self, method: str) -> None:
        self.method = method
        self.data = bytearray()
        self.started = False


class _Peer(asyncio.Protocol):
    def __init__(self, etcd: "FakeEtcd") -> None:
        self._etcd = etcd
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._calls: dict[int, _Call] = {}
        self.watches: dict[int, tuple[bytes, bytes]] = {}
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._etcd.peers.add(self)
        self._h2.initiate_connection()
        self.transport.write(self._h2.data_to_send())

    def connection_lost(self, exc: Exception | None) -> None:
        self._etcd.peers.discard(self)

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                path = dict(event.headers)[":path"]  # type: ignore[index]  # str because of header_encoding
                self._calls[event.stream_id] = _Call(str(path).rpartition("/")[2])
            elif isinstance(event, h2.events.DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self._calls[event.stream_id].data += event.data
                self._take(event.stream_id)
        self.transport.write(self._h2.data_to_send())

    def _take(self, stream: int) -> None:
        call = self._calls[stream]
        while len(call.data) >= 5 and len(call.data) >= 5 + (size := int.from_bytes(call.data[1:5], "big")):
            request = messages.decode(_REQUESTS[call.method], bytes(call.data[5 : 5 + size]))
            del call.data[: 5 + size]
            self._answer(stream, call, request)

    def _answer(self, stream: int, call: _Call, request: messages.Message) -> None:
        if self._etcd.mute:
            return
        if call.method == "Watch":
            if "create" in request:
                self.watches[stream] = (request["create"]["key"], request["create"]["range_end"])
                self.send(stream, {"created": 1, "header": self._etcd.header()})
                self._etcd.replay(self, stream, request["create"]["start_revision"])
            elif stream in self.watches and not self._etcd.held:
                self.send(stream, {"header": self._etcd.header()})
            return
        if self._etcd.failure:
            code, text = self._etcd.failure
            self._h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
            trailers = [("grpc-status", str(CODES.index(code))), ("grpc-message", text)]
            self._h2.send_headers(stream, trailers, end_stream=True)
            return
        name, answer = getattr(self._etcd, call.method.lower())(request)
        self._frame(stream, call, messages.encode(name, answer))
        self._h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)

    def send(self, stream: int, response: messages.Message) -> None:
        """A message of a watch."""
        self._frame(stream, self._calls[stream], messages.encode("WatchResponse", response))
        self.transport.write(self._h2.data_to_send())

    def _frame(self, stream: int, call: _Call, data: bytes) -> None:
        if not call.started:
            self._h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
            call.started = True
        self._h2.send_data(stream, b"\0" + len(data).to_bytes(4, "big") + data)


class FakeEtcd:
    """`failure`: (code, text) for every call; `mute`: no answers; `held`: new watches are not told what was before."""

    def __init__(self) -> None:
        self.pairs: dict[bytes, Pair] = {}
        self.revision = 1
        self.compacted = 0
        self.failure: tuple[str, str] | None = None
        self.mute = False
        self.held = False
        self.leases: list[int] = []
        self._late: list[tuple[_Peer, int, int]] = []
        self.peers: set[_Peer] = set()
        self._events: list[messages.Message] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen; on the same port as before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Peer(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up and stop listening."""
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await asyncio.sleep(0)

    def hang_up(self) -> None:
        """End every connection."""
        for peer in self.peers:
            peer.transport.close()

    def header(self) -> messages.Message:
        return {"revision": self.revision}

    def put(self, key: bytes, value: bytes) -> None:
        """As etcdctl does."""
        self.revision += 1
        old = self.pairs.get(key)
        self.pairs[key] = Pair(value, self.revision, old.version + 1 if old else 1)
        self._publish({"type": 0, "kv": self._pair(key)})

    def delete(self, key: bytes) -> None:
        """As etcdctl does."""
        if self.pairs.pop(key, None) is not None:
            self.revision += 1
            self._publish({"type": messages.DELETE, "kv": {"key": key, "mod_revision": self.revision}})

    def restore(self, pairs: dict[bytes, Pair], revision: int) -> None:
        """An older state: what a restored snapshot is."""
        self.pairs, self.revision = dict(pairs), revision
        self._events.clear()

    def _pair(self, key: bytes) -> messages.Message:
        pair = self.pairs[key]
        return {"key": key, "value": pair.value, "mod_revision": pair.mod_revision, "version": pair.version}

    def _publish(self, event: messages.Message) -> None:
        self._events.append(event)
        for peer in self.peers:
            for stream, (start, end) in peer.watches.items():
                if start <= event["kv"]["key"] < end:
                    peer.send(stream, {"header": self.header(), "events": [event]})

    def replay(self, peer: _Peer, stream: int, since: int) -> None:
        """What a new watch has missed."""
        if self.held:
            self._late.append((peer, stream, since))
            return
        start, end = peer.watches[stream]
        if since <= self.compacted:
            peer.send(stream, {"header": self.header(), "canceled": 1, "compact_revision": self.compacted})
            del peer.watches[stream]
            return
        for event in self._events:
            if event["kv"]["mod_revision"] >= since and start <= event["kv"]["key"] < end:
                peer.send(stream, {"header": self.header(), "events": [event]})

    def release(self) -> None:
        """Send what was held back."""
        self.held = False
        for late in self._late:
            self.replay(*late)

    def range(self, request: messages.Message) -> tuple[str, messages.Message]:
        start, end = request["key"], request["range_end"] or request["key"] + b"\0"
        keys = sorted(key for key in self.pairs if start <= key < end)
        shown = keys[: request["limit"] or None]
        pairs = [] if request["count_only"] else [self._pair(key) for key in shown]
        more = int(len(shown) < len(keys))
        return "RangeResponse", {"header": self.header(), "kvs": pairs, "more": more, "count": len(keys)}

    def txn(self, request: messages.Message) -> tuple[str, messages.Message]:
        right = True
        for compare in request["compare"]:
            pair = self.pairs.get(compare["key"], Pair(b"", 0, 0))
            have = pair.mod_revision if compare["target"] == messages.MOD else pair.version
            wanted = compare["mod_revision"] if compare["target"] == messages.MOD else compare["version"]
            right = right and have == wanted
        responses: list[messages.Message] = []
        for operation in request["success" if right else "failure"]:
            if "put" in operation:
                self.put(operation["put"]["key"], operation["put"]["value"])
            elif "delete_range" in operation:
                self.delete(operation["delete_range"]["key"])
            else:
                responses.append({"range": self.range(operation["range"])[1]})
        return "TxnResponse", {"header": self.header(), "succeeded": int(right), "responses": responses}

    def leasegrant(self, request: messages.Message) -> tuple[str, messages.Message]:
        self.leases.append(request["ttl"])
        return "LeaseGrantResponse", {"header": self.header(), "id": len(self.leases), "ttl": request["ttl"]}

    def compact(self, request: messages.Message) -> tuple[str, messages.Message]:
        self.compacted = request["revision"]
        self._events = [event for event in self._events if event["kv"]["mod_revision"] > self.compacted]
        return "CompactionResponse", {"header": self.header()}

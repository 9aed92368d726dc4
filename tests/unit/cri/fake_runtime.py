"""A container runtime for tests: real HTTP/2 on a real unix socket, answers out of a table.

It keeps what it was asked, and can be told to fail a call, to answer with raw frames, or not to answer at all.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
from google.protobuf.message import Message

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.errors import CODES

Answer = Message | list[Message] | tuple[str, str] | bytes | None
"""A message; several, streamed; (code, description); raw DATA bytes; None: never answer."""


class FakeRuntime:
    """`answers[method]` is an Answer or a function of the request giving one. `calls` holds (method, request)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.endpoint = f"unix://{path}"
        self.calls: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        version = pb.VersionResponse(
            version="0.1.0", runtime_name="fake", runtime_version="v1", runtime_api_version="v1"
        )
        self.answers: dict[str, Answer | Callable[[Any], Answer]] = {
            "Version": version,
            "ImageFsInfo": pb.ImageFsInfoResponse(),
        }
        self.asked = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        """As when a runtime dies: the socket goes, connections break."""
        assert self._server is not None
        self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in list(self._writers):
            writer.close()

    def hang_up(self) -> None:
        """Close every connection's sending side at once; the socket goes on listening."""
        for writer in self._writers:
            with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as copy:
                copy.shutdown(socket.SHUT_RDWR)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        requests: dict[int, tuple[str, bytearray]] = {}
        writer.write(connection.data_to_send())
        try:
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        headers = {str(name): str(value) for name, value in event.headers}
                        self.headers.append(headers)
                        requests[event.stream_id] = (headers[":path"], bytearray())
                    elif isinstance(event, h2.events.DataReceived):
                        requests[event.stream_id][1].extend(event.data)
                        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, h2.events.StreamEnded):
                        self._answer(connection, event.stream_id, *requests.pop(event.stream_id))
                writer.write(connection.data_to_send())
                await writer.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, connection: h2.connection.H2Connection, stream: int, path: str, body: bytearray) -> None:
        service, method = path.split("/")[1:]
        descriptor = pb.DESCRIPTOR.services_by_name[service.rpartition(".")[2]].methods_by_name[method]
        request = getattr(pb, descriptor.input_type.name).FromString(bytes(body[5:]))
        self.calls.append((method, request))
        self.asked.set()
        answer = self.answers.get(method, ("Unimplemented", f"method {method} not implemented"))
        if callable(answer):
            answer = answer(request)
        if answer is None:
            return
        connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        status = ("0", "")
        if isinstance(answer, tuple):
            status = (str(CODES.index(answer[0])), answer[1])
        for item in answer if isinstance(answer, list) else [] if isinstance(answer, tuple) else [answer]:
            data = item if isinstance(item, bytes) else _frame(item.SerializeToString())
            for at in range(0, len(data), 16384):
                connection.send_data(stream, data[at : at + 16384])
        connection.send_headers(stream, [("grpc-status", status[0]), ("grpc-message", status[1])], end_stream=True)


def _frame(data: bytes) -> bytes:
    return b"\0" + len(data).to_bytes(4, "big") + data


class ThreadedRuntime:
    """A FakeRuntime on a thread of its own, for programs that run their own event loop."""

    def __init__(self, path: Path) -> None:
        self.runtime = FakeRuntime(path)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> FakeRuntime:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.runtime.start(), self._loop).result(5)
        return self.runtime

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        await self.runtime.stop()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

"""The gRPC health protocol (grpc.health.v1.Health/Check) over plain HTTP/2, after upstream's grpc prober."""

import asyncio
import struct

import h2.config
import h2.connection
import h2.events
from h2.exceptions import ProtocolError

from cka_kubelet.kube.gofmt import format_duration
from cka_kubelet.kube.gofmt import quote as q

_BACK_OFF = 1.0
_STATUS = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def request_body(service: str) -> bytes:
    """A HealthCheckRequest with its gRPC frame. Pure."""
    name = service.encode()
    message = b"\x0a" + bytes([len(name)]) + name if name else b""
    return struct.pack(">BI", 0, len(message)) + message


def serving_status(body: bytes) -> str:
    """The status in a framed HealthCheckResponse. Pure."""
    message = body[5:]
    return _STATUS.get(message[1], "UNKNOWN") if len(message) >= 2 and message[0] == 0x08 else "UNKNOWN"


async def check(host: str, port: int, service: str, timeout: float) -> tuple[bool, str]:
    """(serving, what was seen)."""
    address = f"{host}:{port}"
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await _connect(host, port, timeout)
            try:
                code, body = await _call(reader, writer, address, request_body(service))
            finally:
                writer.close()
    except TimeoutError:
        limit = format_duration(timeout)
        return False, f"timeout: failed to connect service {q(address)} within {limit}: context deadline exceeded"
    except (ProtocolError, EOFError, OSError) as error:
        return False, f"error: health rpc probe failed: {error}"
    if code == "12":
        return False, "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
    if code not in ("", "0"):
        return False, f"error: health rpc probe failed: rpc error: code = {code}"
    status = serving_status(body)
    return (
        (True, "service healthy") if status == "SERVING" else (False, f"service unhealthy (responded with {q(status)})")
    )


async def _connect(host: str, port: int, timeout: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A refused connection is tried again a second later, as grpc-go does, until the caller's timeout ends that."""
    while True:
        try:
            return await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(min(timeout, _BACK_OFF))


async def _call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, body: bytes
) -> tuple[str, bytes]:
    """(grpc-status, response body) of one call. Raises EOFError, ProtocolError."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
    connection.send_headers(1, headers)
    connection.send_data(1, body, end_stream=True)
    writer.write(connection.data_to_send())
    code, received = "", b""
    while True:
        data = await reader.read(65536)
        if not data:
            raise EOFError("connection closed")
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                code = next((_text(v) for k, v in event.headers if _text(k) == "grpc-status"), code)
            elif isinstance(event, h2.events.DataReceived):
                received += event.data
            elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                return code, received
        writer.write(connection.data_to_send())


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")

"""Transient slices, asked of systemd over its private socket: just enough of D-Bus for what libcontainer does.

Wire format: the D-Bus specification. Calls and their order: opencontainers/cgroups, systemd/common.go.
"""

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self

SOCKET = "/run/systemd/private"
TIMEOUT = 30.0
"""Seconds that systemd gets for one job (libcontainer's)."""

_CALL, _RETURN, _ERROR, _SIGNAL = 1, 2, 3, 4
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_MANAGER = "org.freedesktop.systemd1"
_ALIGNMENT = {"y": 1, "g": 1, "b": 4, "u": 4, "s": 4, "o": 4, "a": 4, "v": 1, "t": 8}


class Property(NamedTuple):
    """A unit property. `signature` is s (text), b (bool), t (64-bit number), as (texts) or ay (bytes)."""

    name: str
    signature: str
    value: str | bool | int | list[str] | bytes


class SystemdError(Exception):
    """systemd refused or did not answer. `name` is D-Bus' error name, "" when there was no answer."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class _Writer:
    """Marshals values, little endian. Offsets count from the message's start, which is a multiple of 8."""

    def __init__(self) -> None:
        self.data = bytearray()

    def align(self, size: int) -> None:
        self.data += bytes(-len(self.data) % size)

    def value(self, signature: str, value: Any) -> None:
        self.align(_ALIGNMENT[signature[0]])
        if signature in ("s", "o"):
            text = value.encode()
            self.data += struct.pack("<I", len(text)) + text + b"\0"
        elif signature == "g":
            self.data += bytes([len(value)]) + value.encode() + b"\0"
        elif signature == "as":
            self.array(4, ([("s", item)] for item in value))
        elif signature == "ay":
            self.data += struct.pack("<I", len(value)) + value
        elif signature == "v":
            self.value("g", value[0])
            self.value(*value)
        else:
            self.data += struct.pack({"y": "<B", "b": "<I", "u": "<I", "t": "<Q"}[signature], value)

    def array(self, alignment: int, items: Iterable[list[tuple[str, Any]]]) -> None:
        """An array of structures (or of single values); a field is (signature, value)."""
        self.align(4)
        at = len(self.data)
        self.data += bytes(4)
        self.align(alignment)
        start = len(self.data)
        for item in items:
            self.align(alignment)
            for field in item:
                self.value(*field)
        struct.pack_into("<I", self.data, at, len(self.data) - start)


def call(
    serial: int,
    member: str,
    signature: str,
    body: bytes,
    destination: str = _MANAGER,
    path: str = "/org/freedesktop/systemd1",
    interface: str = f"{_MANAGER}.Manager",
) -> bytes:
    """One method call, on systemd's Manager unless told, as bytes."""
    writer = _Writer()
    writer.data += struct.pack("<cBBBII", b"l", _CALL, 0, 1, len(body), serial)
    fields = [
        (_PATH, "o", path),
        (_INTERFACE, "s", interface),
        (_MEMBER, "s", member),
        (_DESTINATION, "s", destination),
        *([(_SIGNATURE, "g", signature)] if signature else []),
    ]
    writer.array(8, ([("y", code), ("v", (kind, value))] for code, kind, value in fields))
    writer.align(8)
    return bytes(writer.data) + body


def _properties(writer: _Writer, properties: list[Property]) -> None:
    writer.array(8, ([("s", p.name), ("v", (p.signature, p.value))] for p in properties))


def start_body(unit: str, properties: list[Property]) -> bytes:
    """The arguments of StartTransientUnit, `ssa(sv)a(sa(sv))`."""
    writer = _Writer()
    writer.value("s", unit)
    writer.value("s", "replace")
    _properties(writer, properties)
    writer.array(8, [])
    return bytes(writer.data)


def set_body(unit: str, properties: list[Property]) -> bytes:
    """The arguments of SetUnitProperties, `sba(sv)`; the change lasts until the next boot."""
    writer = _Writer()
    writer.value("s", unit)
    writer.value("b", True)
    _properties(writer, properties)
    return bytes(writer.data)


class Message(NamedTuple):
    """What systemd sent. `texts` are the strings and paths of its body, up to the first value of another kind."""

    kind: int
    member: str
    error: str
    reply_to: int
    texts: list[str]
    body: bytes = b""


def parse(header: bytes, fields: bytes, body: bytes) -> Message:
    """Read a message; `header` is its first 16 bytes. Raises SystemdError when it is no D-Bus message."""
    try:
        known = dict(_fields(fields, struct.unpack_from("<I", header, 12)[0]))
        texts = list(_texts(str(known.get(_SIGNATURE, "")), body))
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise SystemdError("", f"malformed D-Bus message: {error}") from None
    reply = known.get(_REPLY_SERIAL, 0)
    member, name = str(known.get(_MEMBER, "")), str(known.get(_ERROR_NAME, ""))
    return Message(header[1], member, name, reply if isinstance(reply, int) else 0, texts, body)


def _text(data: bytes, at: int) -> tuple[str, int]:
    at += -at % 4
    (size,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + size].decode(), at + size + 5


def _fields(data: bytes, size: int) -> Iterator[tuple[int, str | int]]:
    at = 0
    while at < size:
        at += -at % 8
        code, length = data[at], data[at + 1]
        signature = data[at + 2 : at + 2 + length].decode()
        at += length + 3
        value: str | int
        if signature == "u":
            at += -at % 4
            (value,) = struct.unpack_from("<I", data, at)
            at += 4
        elif signature == "g":
            value = data[at + 1 : at + 1 + data[at]].decode()
            at += data[at] + 2
        else:
            value, at = _text(data, at)
        yield code, value


def _texts(signature: str, body: bytes) -> Iterator[str]:
    at = 0
    for kind in signature:
        if kind == "u":
            at += -at % 4 + 4
        elif kind in ("s", "o"):
            text, at = _text(body, at)
            yield text
        else:
            return


class Systemd:
    """A connection to systemd as root; a context manager. Every method raises SystemdError."""

    def __init__(self, path: str = "", timeout: float = TIMEOUT) -> None:
        self._serial = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._buffer = bytearray()
        self._removed: dict[str, str] = {}
        try:
            self._socket.connect(path or SOCKET)
            self._socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\nBEGIN\r\n")
            answer = self._line()
        except OSError as error:
            self._socket.close()
            raise SystemdError("", f"dial unix {path or SOCKET}: connect: {error.strerror or error}") from None
        if not answer.startswith(b"OK"):
            self._socket.close()
            raise SystemdError("", "dbus: authentication failed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def start(self, unit: str, properties: list[Property]) -> None:
        """Start a transient unit and wait until it is there; one that exists is left as it is."""
        try:
            job = self._call("StartTransientUnit", "ssa(sv)a(sa(sv))", start_body(unit, properties))
        except SystemdError as error:
            if error.name.endswith(".UnitExists"):
                return
            raise
        result = self._wait(job)
        if result != "done":
            self._reset(unit)
            raise SystemdError("", f"error creating systemd unit `{unit}`: got `{result}`")

    def set(self, unit: str, properties: list[Property]) -> None:
        """Change a unit's properties until the next boot."""
        self._call("SetUnitProperties", "sba(sv)", set_body(unit, properties))

    def stop(self, unit: str) -> None:
        """Stop a unit and wait until it is gone; one that is not there is fine."""
        writer = _Writer()
        writer.value("s", unit)
        writer.value("s", "replace")
        try:
            self._wait(self._call("StopUnit", "ss", bytes(writer.data)))
        except SystemdError as error:
            if not error.name.endswith(".NoSuchUnit"):
                raise
        self._reset(unit)

    def _reset(self, unit: str) -> None:
        """Let systemd forget a unit that failed."""
        writer = _Writer()
        writer.value("s", unit)
        try:
            self._call("ResetFailedUnit", "s", bytes(writer.data))
        except SystemdError as error:
            if not error.name:
                raise

    def _call(self, member: str, signature: str, body: bytes) -> str:
        """The answer's first text, which is the job's path."""
        self._serial += 1
        try:
            self._socket.sendall(call(self._serial, member, signature, body))
            while True:
                message = self._message()
                if message.kind in (_RETURN, _ERROR) and message.reply_to == self._serial:
                    break
        except OSError as error:
            raise SystemdError("", f"{member}: {error}") from None
        if message.kind == _ERROR:
            raise SystemdError(message.error, message.texts[0] if message.texts else message.error)
        return message.texts[0] if message.texts else ""

    def _wait(self, job: str) -> str:
        """The job's result: done, failed, canceled, ..."""
        try:
            while job not in self._removed:
                self._message()
        except OSError as error:
            raise SystemdError("", f"Timeout waiting for systemd job {job}: {error}") from None
        return self._removed.pop(job)

    def _message(self) -> Message:
        header = self._read(16)
        body_size, fields_size = struct.unpack_from("<I", header, 4)[0], struct.unpack_from("<I", header, 12)[0]
        fields = self._read(fields_size + -fields_size % 8)
        message = parse(header, fields, self._read(body_size))
        if message.kind == _SIGNAL and message.member == "JobRemoved" and len(message.texts) == 3:
            self._removed[message.texts[0]] = message.texts[2]
        return message

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._more()
        return self._read(end + 2)

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("connection closed by systemd")
        self._buffer += data

"""logind over the system bus: the delay lock against a shutdown, and the news of one (nodeshutdown/systemd)."""

import array
import asyncio
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cka_kubelet.kube.gofmt import path_error
from cka_kubelet.kubelet.pods.systemd import Message, SystemdError, call, parse

_BUS = "/run/dbus/system_bus_socket"
_OVERRIDE = "/etc/systemd/logind.conf.d/99-kubelet.conf"
_TIMEOUT = 25.0
_READ = 65536
_RETURN, _ERROR, _SIGNAL = 2, 3, 4
_SIGHUP = 1


class _Object(NamedTuple):
    """Who is called."""

    destination: str
    path: str
    interface: str


_BUS_DRIVER = _Object("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_LOGIND = _Object("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
_PROPERTIES = _LOGIND._replace(interface="org.freedesktop.DBus.Properties")
_SYSTEMD = _Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")


class LogindError(Exception):
    """logind could not be asked or refused. str() is upstream's message."""


def _strings(*texts: str) -> bytes:
    """D-Bus strings, one after the other."""
    data = bytearray()
    for text in texts:
        data += bytes(-len(data) % 4)
        data += struct.pack("<I", len(text.encode())) + text.encode() + b"\0"
    return bytes(data)


def write_override(seconds: float, path: str = _OVERRIDE) -> None:
    """logind's setting for the longest delay, in a drop-in of its own. Raises LogindError."""
    file = Path(path)
    try:
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        problem = path_error("mkdir", file.parent, error)
        raise LogindError(f"failed creating {file.parent}/ directory: {problem}") from error
    try:
        file.write_text(f"# Kubelet logind override\n[Login]\nInhibitDelayMaxSec={seconds:.0f}\n")
    except OSError as error:
        problem = path_error("open", path, error)
        raise LogindError(f"failed writing logind shutdown inhibit override file {path}: {problem}") from error


class Logind:
    """One connection. `on_shutdown(True)` is called when a shutdown begins, `(False)` when it was called off."""

    def __init__(self, on_shutdown: Callable[[bool], None], path: str = _BUS) -> None:
        self._on_shutdown = on_shutdown
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setblocking(False)
        self._buffer = bytearray()
        self._descriptors: list[int] = []
        self._serial = 0
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._lock = -1
        self.closed = asyncio.Event()

    async def connect(self) -> None:
        """Say hello to the bus and listen for PrepareForShutdown. Raises LogindError."""
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(self._socket, self._path)
            uid = str(os.geteuid()).encode().hex().encode()
            await loop.sock_sendall(self._socket, b"\0AUTH EXTERNAL " + uid + b"\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
            while self._buffer.count(b"\r\n") < 2:
                data = await loop.sock_recv(self._socket, _READ)
                if not data:
                    raise ConnectionResetError("EOF")
                self._buffer += data
        except OSError as error:
            self.close()
            raise LogindError(f"dial unix {self._path}: connect: {(error.strerror or str(error)).lower()}") from error
        del self._buffer[: self._buffer.index(b"\r\n", self._buffer.index(b"\r\n") + 2) + 2]
        loop.add_reader(self._socket, self._readable)
        await self._call(_BUS_DRIVER, "Hello", "", b"")
        rule = (
            "type='signal',interface='org.freedesktop.login1.Manager',member='PrepareForShutdown',"
            "path='/org/freedesktop/login1'"
        )
        await self._call(_BUS_DRIVER, "AddMatch", "s", _strings(rule))

    async def inhibit_delay(self) -> float:
        """InhibitDelayMaxUSec in seconds. Raises LogindError."""
        try:
            answer = await self._call(_PROPERTIES, "Get", "ss", _strings(_LOGIND.interface, "InhibitDelayMaxUSec"))
            (micros,) = struct.unpack_from("<Q", answer.body, 8)  # a variant: 1, "t", 0, padding, the number
        except (LogindError, struct.error) as error:
            raise LogindError(f"failed reading InhibitDelayMaxUSec property from logind: {error}") from error
        return float(micros) / 1e6

    async def override_delay(self, seconds: float, path: str = _OVERRIDE) -> None:
        """Have logind wait that long for delay locks. Raises LogindError."""
        write_override(seconds, path)
        body = _strings("systemd-logind.service", "all")
        body += bytes(-len(body) % 4) + struct.pack("<i", _SIGHUP)
        try:
            await self._call(_SYSTEMD, "KillUnit", "ssi", body)
        except LogindError as error:
            raise LogindError(f"unable to reload logind conf: {error}") from error

    async def inhibit(self) -> None:
        """Take the delay lock, in place of the one held. Raises LogindError."""
        words = _strings("shutdown", "kubelet", "Kubelet needs time to handle node shutdown", "delay")
        try:
            await self._call(_LOGIND, "Inhibit", "ssss", words)
        except LogindError as error:
            raise LogindError(f"failed creating systemd inhibitor: {error}") from error
        if not self._descriptors:
            raise LogindError("failed storing inhibit lock file descriptor: none came")
        self.release()
        self._lock = self._descriptors.pop()

    def release(self) -> None:
        """Let the shutdown go on."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def close(self) -> None:
        """Leave the bus; a lock is given back."""
        if self.closed.is_set():
            return
        self.closed.set()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self.release()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(LogindError("dbus: connection closed by user"))

    async def _call(self, target: _Object, member: str, signature: str, body: bytes) -> Message:
        self._serial += 1
        serial = self._serial
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[serial] = future
        try:
            message = call(serial, member, signature, body, *target)
            async with asyncio.timeout(_TIMEOUT):
                await asyncio.get_running_loop().sock_sendall(self._socket, message)
                answer = await future
        except (OSError, SystemdError) as error:  # a timeout is an OSError as well
            raise LogindError(str(error) or "context deadline exceeded") from error
        finally:
            del self._waiting[serial]
        if answer.kind == _ERROR:
            raise LogindError(answer.texts[0] if answer.texts else answer.error)
        return answer

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_READ, socket.CMSG_SPACE(4 * 4))
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._descriptors += array.array("i", content[: len(content) - len(content) % 4])
        if not data:
            self.close()
            return
        self._buffer += data
        try:
            while (size := _message_size(self._buffer)) and len(self._buffer) >= size:
                raw = bytes(self._buffer[:size])
                del self._buffer[:size]
                self._take(raw)
        except SystemdError:
            self.close()

    def _take(self, raw: bytes) -> None:
        fields = struct.unpack_from("<I", raw, 12)[0]
        start = 16 + fields + -fields % 8
        message = parse(raw[:16], raw[16:start], raw[start:])
        if message.kind in (_RETURN, _ERROR):
            future = self._waiting.get(message.reply_to)
            if future is not None and not future.done():
                future.set_result(message)
        elif message.kind == _SIGNAL and message.member == "PrepareForShutdown" and len(message.body) >= 4:
            self._on_shutdown(bool(struct.unpack_from("<I", message.body)[0]))


def _message_size(data: bytearray) -> int:
    """Bytes of the message that begins here, 0 as long as its head is not complete."""
    if len(data) < 16:
        return 0
    body, fields = struct.unpack_from("<I", data, 4)[0], struct.unpack_from("<I", data, 12)[0]
    return int(16 + fields + -fields % 8 + body)

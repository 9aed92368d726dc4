"""systemd over its private socket: the wire format, and what its answers mean."""

import socket
import struct
import threading
from pathlib import Path

import pytest

from cka_kubelet.kubelet.pods import systemd
from cka_kubelet.kubelet.pods.systemd import Property, Systemd, SystemdError

# A call as another D-Bus implementation (jeepney 0.9) writes it, cut where the fields end and the body begins.
_FIELDS = (
    "6c010001e800000007000000b600000001016f00190000002f6f72672f667265656465736b746f702f73797374656d64310000000000000002"
    "017300200000006f72672e667265656465736b746f702e73797374656d64312e4d616e616765720000000000000000030173001200000053"
    "746172745472616e7369656e74556e697400000000000006017300180000006f72672e667265656465736b746f702e73797374656d643100"
    "0000000000000008016700107373612873762961287361287376292900000007000000"
)
_BODY = (
    "612e736c69636500070000007265706c61636500c2000000000000000b0000004465736372697074696f6e00017300001e0000006c6962636f"
    "6e7461696e657220636f6e7461696e657220612e736c69636500000500000057616e7473000261730000001800000007000000622e736c69"
    "63650007000000632e736c6963650000000000100000004d656d6f72794163636f756e74696e67000162000100000000000000090000004d"
    "656d6f72794d6178000174000000000000000000000000000100000b000000416c6c6f776564435055730002617900020000000301000000"
    "000000"
)


def test_a_call_is_the_bytes_that_other_implementations_write() -> None:
    properties = [
        Property("Description", "s", "libcontainer container a.slice"),
        Property("Wants", "as", ["b.slice", "c.slice"]),
        Property("MemoryAccounting", "b", True),
        Property("MemoryMax", "t", 1 << 40),
        Property("AllowedCPUs", "ay", b"\x03\x01"),
    ]
    body = systemd.start_body("a.slice", properties)
    assert systemd.call(7, "StartTransientUnit", "ssa(sv)a(sa(sv))", body).hex() == _FIELDS + _BODY


def _message(kind: int, fields: list[tuple[int, str, object]], body: bytes) -> bytes:
    writer = systemd._Writer()  # the encoder, itself tested against another's bytes
    writer.data += struct.pack("<cBBBII", b"l", kind, 0, 1, len(body), 1)
    writer.array(8, ([("y", code), ("v", (signature, value))] for code, signature, value in fields))
    writer.align(8)
    return bytes(writer.data) + body


def _texts(*texts: str) -> bytes:
    writer = systemd._Writer()
    for text in texts:
        writer.value("s", text)
    return bytes(writer.data)


def _returned(serial: int, text: str = "") -> bytes:
    signature: list[tuple[int, str, object]] = [(8, "g", "o")] if text else []
    return _message(2, [(5, "u", serial), *signature], _texts(text) if text else b"")


def _refused(serial: int, name: str) -> bytes:
    return _message(3, [(4, "s", name), (5, "u", serial), (8, "g", "s")], _texts("no such luck"))


def _removed(job: str, result: str) -> bytes:
    body = struct.pack("<I", 7) + _texts(job, "a.slice", result)
    return _message(4, [(3, "s", "JobRemoved"), (8, "g", "uoss")], body)


class _Peer:
    """Answers the handshake, then each further call with the next of `answers`."""

    def __init__(self, path: Path, answers: list[bytes]) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, args=(answers,), daemon=True)
        self._thread.start()

    def _serve(self, answers: list[bytes]) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"OK 0123456789abcdef\r\n")
            for answer in answers:
                if not connection.recv(65536):
                    return
                connection.sendall(answer)

    def close(self) -> None:
        self._thread.join(5)
        self._listener.close()


def test_start_waits_for_its_own_job(tmp_path: Path) -> None:
    noise = _removed("/job/6", "failed") + _message(4, [(3, "s", "UnitNew"), (8, "g", "so")], _texts("u", "/u"))
    peer = _Peer(tmp_path / "s", [noise + _returned(1, "/job/7") + _removed("/job/7", "done"), _returned(2)])
    with Systemd(str(tmp_path / "s"), timeout=5) as bus:
        bus.start("a.slice", [])
        bus.set("a.slice", [Property("CPUShares", "t", 2)])
    peer.close()


def test_a_unit_that_exists_is_fine_and_one_that_fails_is_not(tmp_path: Path) -> None:
    exists = _refused(1, "org.freedesktop.systemd1.UnitExists")
    failed = _returned(2, "/job/8") + _removed("/job/8", "failed")
    peer = _Peer(tmp_path / "s", [exists, failed, _returned(3)])
    with Systemd(str(tmp_path / "s"), timeout=5) as bus:
        bus.start("a.slice", [])
        with pytest.raises(SystemdError, match=r"error creating systemd unit `a\.slice`: got `failed`"):
            bus.start("a.slice", [])
    peer.close()


def test_stopping_what_is_not_there_is_fine(tmp_path: Path) -> None:
    peer = _Peer(tmp_path / "s", [_refused(1, "org.freedesktop.systemd1.NoSuchUnit"), _refused(2, "x.NoSuchUnit")])
    with Systemd(str(tmp_path / "s"), timeout=5) as bus:
        bus.stop("a.slice")
    peer.close()


def test_silence_garbage_and_absence_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SystemdError, match="No such file"):
        Systemd(str(tmp_path / "none"))
    peer = _Peer(tmp_path / "s", [b"l\2\0\1" + struct.pack("<III", 0, 1, 8) + b"\5\1u\0\1\1\1\1"])
    with Systemd(str(tmp_path / "s"), timeout=0.2) as bus, pytest.raises(SystemdError, match="SetUnitProperties"):
        bus.set("a.slice", [])  # the answer is to another call, then the peer hangs up
    peer.close()

"""Decodes `application/vnd.kubernetes.protobuf` request bodies: kubectl's typed commands and Go clients send them.

Answers are JSON, which those clients accept. The field numbers are data, `protobuf_schema.txt`, one message a line:
`package.Message number:[*repeated %map ?pointer ^inline]type:name …` with types s(tring) b(ool) i(nt) y(bytes) d(ouble)
Q(uantity) I(ntOrString) T(ime) U(micro time) R(aw extension) .Message. It is loaded when the first such body comes.

Go writes fields that are no pointers even when they are zero; those are left out here, as its JSON does.
"""

import base64
import datetime
import json
import struct
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

MAGIC = b"k8s\x00"
_SHARED = {"DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions", "ListOptions", "Status"}


class DecodeError(ValueError):
    """The body is no Kubernetes protobuf, or of a kind that is not known."""


class Field(NamedTuple):
    """A field of a message: `mark` as in the table, `type` with its full name, `name` as JSON has it."""

    mark: str
    type: str
    name: str


@cache
def _lines() -> dict[str, str]:
    text = (Path(__file__).parent / "protobuf_schema.txt").read_text("ascii")
    return dict(line.split(" ", 1) for line in text.splitlines())


@cache
def _message(name: str) -> dict[int, Field]:
    package = name.rpartition(".")[0]
    fields = {}
    for word in _lines().get(name, "").split():
        number, kind, json_name = word.split(":")
        mark = kind[: len(kind) - len(kind.lstrip("*%?^"))]
        kind = kind[len(mark) :]
        if kind[0] == "." and "/" not in kind:
            kind = f".{package}.{kind[1:]}"
        fields[int(number)] = Field(mark, kind, json_name)
    return fields


def fields(message: str) -> list[Field]:
    """The fields of `package.Message`, sorted by name; none for an unknown one."""
    return sorted(_message(message).values(), key=lambda field: field.name)


def decode(body: bytes) -> dict[str, Any]:
    """The object in the envelope, as JSON would have it. Raises DecodeError."""
    if not body.startswith(MAGIC):
        raise DecodeError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        envelope = dict(_fields(body[4:]))
        types = dict(_fields(envelope.get(1, b"")))
        api_version, kind = types.get(1, b"").decode(), types.get(2, b"").decode()
        group, _, version = api_version.rpartition("/")
        package = "meta/v1" if kind in _SHARED else f"{group.partition('.')[0] or 'core'}/{version}"
        name = f"{package}.{kind}"
        if name not in _lines():
            raise DecodeError(f'no kind "{kind}" is registered for version "{api_version}"')
        result = _decode(name, envelope.get(2, b""))
    except (IndexError, UnicodeDecodeError, struct.error, AttributeError, TypeError) as error:
        raise DecodeError(f"malformed protobuf: {error}") from error
    return {"kind": kind, "apiVersion": api_version, **result}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes) -> list[tuple[int, Any]]:
    """Numbers and raw values: ints, or bytes."""
    found: list[tuple[int, Any]] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value: Any
        match key & 7:
            case 0:
                value, at = _varint(data, at)
            case 1:
                value, at = data[at : at + 8], at + 8
            case 2:
                size, at = _varint(data, at)
                if at + size > len(data):
                    raise IndexError("unexpected EOF")
                value, at = data[at : at + size], at + size
            case 5:
                value, at = data[at : at + 4], at + 4
            case other:
                raise DecodeError(f"malformed protobuf: wire type {other}")
        found.append((key >> 3, value))
    return found


def _decode(name: str, data: bytes) -> dict[str, Any]:
    schema = _message(name)
    result: dict[str, Any] = {}
    for number, raw in _fields(data):
        field = schema.get(number)
        if field is None:
            continue
        if "%" in field.mark:
            entry = dict(_fields(raw))
            value = _value(field.type, entry.get(2, b""))
            result.setdefault(field.name, {})[entry.get(1, b"").decode()] = value
        elif "*" in field.mark:
            result.setdefault(field.name, []).append(_value(field.type, raw))
        elif "^" in field.mark:
            result.update(_value(field.type, raw))
        else:
            value = _value(field.type, raw)
            if "?" in field.mark or value not in ("", 0, None, {}, []):
                result[field.name] = value
    return result


def _value(kind: str, raw: Any) -> Any:
    match kind[0]:
        case "s":
            return raw.decode()
        case "b":
            return bool(raw)
        case "i":
            return raw - (1 << 64) if raw >> 63 else raw
        case "y":
            return base64.b64encode(raw).decode()
        case "d":
            return struct.unpack("<d", raw)[0]
        case "Q":
            return dict(_fields(raw)).get(1, b"").decode()
        case "I":
            found = dict(_fields(raw))
            return found.get(3, b"").decode() if found.get(1) else _value("i", found.get(2, 0))
        case "T" | "U":
            return _time(raw, micro=kind[0] == "U")
        case "R":
            inner = dict(_fields(raw)).get(1, b"")
            return decode(inner) if inner.startswith(MAGIC) else (json.loads(inner) if inner else None)
    found_message = kind[1:]
    schema = _message(found_message)
    value = _decode(found_message, raw)
    # A message with one repeated field called items stands for the list itself (ExtraValue).
    if len(schema) == 1 and next(iter(schema.values())).name == "items":
        return value.get("items", [])
    return value


def _time(raw: bytes, *, micro: bool) -> str | None:
    found = dict(_fields(raw))
    if not found:
        return None
    seconds = _value("i", found.get(1, 0))
    if seconds <= -62135596800:  # Go's zero time
        return None
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{found.get(2, 0) // 1000:06d}Z" if micro else f"{text}Z"

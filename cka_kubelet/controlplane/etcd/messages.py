"""The messages of etcd's v3 API that are used here, as dicts, and their protobuf encoding.

Field numbers are those of etcd's rpc.proto and kv.proto. Types: i(nteger, enums and booleans too), y (bytes), s(tring),
.Message, with * in front when repeated. A field that is left out has its default, as proto3 wants it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Message = dict[str, Any]

_TABLE = """
ResponseHeader 1:i:cluster_id 3:i:revision
KeyValue 1:y:key 2:i:create_revision 3:i:mod_revision 4:i:version 5:y:value 6:i:lease
RangeRequest 1:y:key 2:y:range_end 3:i:limit 4:i:revision 9:i:count_only
RangeResponse 1:.ResponseHeader:header 2:*.KeyValue:kvs 3:i:more 4:i:count
PutRequest 1:y:key 2:y:value 3:i:lease
DeleteRangeRequest 1:y:key 2:y:range_end
Compare 1:i:result 2:i:target 3:y:key 4:i:version 6:i:mod_revision
RequestOp 1:.RangeRequest:range 2:.PutRequest:put 3:.DeleteRangeRequest:delete_range
ResponseOp 1:.RangeResponse:range
TxnRequest 1:*.Compare:compare 2:*.RequestOp:success 3:*.RequestOp:failure
TxnResponse 1:.ResponseHeader:header 2:i:succeeded 3:*.ResponseOp:responses
CompactionRequest 1:i:revision
CompactionResponse 1:.ResponseHeader:header
WatchCreateRequest 1:y:key 2:y:range_end 3:i:start_revision 4:i:progress_notify
WatchProgressRequest
WatchRequest 1:.WatchCreateRequest:create 3:.WatchProgressRequest:progress
Event 1:i:type 2:.KeyValue:kv
WatchResponse 1:.ResponseHeader:header 3:i:created 4:i:canceled 5:i:compact_revision 6:s:cancel_reason 11:*.Event:events
LeaseGrantRequest 1:i:ttl 2:i:id
LeaseGrantResponse 1:.ResponseHeader:header 2:i:id 3:i:ttl 4:s:error
"""

MOD, VERSION = 2, 0
"""Targets of a Compare."""
DELETE = 1
"""The type of an Event that is a deletion."""


class Field(NamedTuple):
    """`type`: i, y, s, or a message's name."""

    number: int
    type: str
    repeated: bool
    name: str


def _field(word: str) -> Field:
    number, kind, name = word.split(":")
    return Field(int(number), kind.lstrip("*."), kind.startswith("*"), name)


_BY_NAME = {
    words[0]: {field.name: field for field in map(_field, words[1:])}
    for words in (line.split() for line in _TABLE.strip().splitlines())
}
_BY_NUMBER = {name: {field.number: field for field in fields.values()} for name, fields in _BY_NAME.items()}


class DecodeError(ValueError):
    """What came is no such message."""


def encode(message: str, values: Mapping[str, Any]) -> bytes:
    """Protobuf bytes of `values`."""
    out = bytearray()
    for name, value in values.items():
        field = _BY_NAME[message][name]
        for each in value if field.repeated else (value,):
            if field.type == "i":
                out += _varint(field.number << 3) + _varint(int(each) & 0xFFFFFFFFFFFFFFFF)
            else:
                raw = each if field.type == "y" else each.encode() if field.type == "s" else encode(field.type, each)
                out += _varint(field.number << 3 | 2) + _varint(len(raw)) + raw
    return bytes(out)


def decode(message: str, data: bytes) -> Message:
    """The fields of a message. Absent numbers, texts and lists get their defaults, absent messages are left out.

    Raises DecodeError.
    """
    schema = _BY_NUMBER[message]
    found: Message = {}
    for field in schema.values():
        if field.repeated:
            found[field.name] = []
        elif field.type in _DEFAULTS:
            found[field.name] = _DEFAULTS[field.type]
    try:
        for number, raw in _fields(data):
            known = schema.get(number)
            if known is not None:
                value = _value(known.type, raw)
                if known.repeated:
                    found[known.name].append(value)
                else:
                    found[known.name] = value
    except (IndexError, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise DecodeError(f"grpc: failed to unmarshal the received message: proto: {message}: {error}") from error
    return found


_DEFAULTS: dict[str, object] = {"i": 0, "y": b"", "s": ""}


def _value(kind: str, raw: Any) -> Any:
    match kind:
        case "i":
            return raw - (1 << 64) if raw >> 63 else raw
        case "y":
            return bytes(raw)
        case "s":
            return raw.decode()
    return decode(kind, bytes(raw))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = _read(data, at)
        match key & 7:
            case 0:
                value, at = _read(data, at)
                yield key >> 3, value
            case 2:
                size, at = _read(data, at)
                if at + size > len(data):
                    raise IndexError("unexpected EOF")
                yield key >> 3, data[at : at + size]
                at += size
            case other:
                raise IndexError(f"wire type {other}")


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7

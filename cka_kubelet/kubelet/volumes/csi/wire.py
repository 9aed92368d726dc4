"""The few protobuf messages that a kubelet exchanges with CSI drivers, as dicts (csi.proto v1, pluginregistration v1).

A field's type is s(tring), b(ool), i(nteger), %(map of strings) or the name of a message; `*` before it: repeated.
"""

from typing import Any

Message = dict[str, Any]

_FIELDS: dict[str, dict[int, tuple[str, str]]] = {
    "": {},
    "PluginInfo": {1: ("type", "s"), 2: ("name", "s"), 3: ("endpoint", "s"), 4: ("supported_versions", "*s")},
    "RegistrationStatus": {1: ("plugin_registered", "b"), 2: ("error", "s")},
    "Topology": {1: ("segments", "%")},
    "NodeInfo": {1: ("node_id", "s"), 2: ("max_volumes_per_node", "i"), 3: ("accessible_topology", "Topology")},
    "RPC": {1: ("type", "i")},
    "Capability": {1: ("rpc", "RPC")},
    "Capabilities": {1: ("capabilities", "*Capability")},
    "MountVolume": {1: ("fs_type", "s"), 2: ("mount_flags", "*s"), 3: ("volume_mount_group", "s")},
    "AccessMode": {1: ("mode", "i")},
    "VolumeCapability": {2: ("mount", "MountVolume"), 3: ("access_mode", "AccessMode")},
    "Stage": {
        1: ("volume_id", "s"),
        2: ("publish_context", "%"),
        3: ("staging_target_path", "s"),
        4: ("volume_capability", "VolumeCapability"),
        5: ("secrets", "%"),
        6: ("volume_context", "%"),
    },
    "Unstage": {1: ("volume_id", "s"), 2: ("staging_target_path", "s")},
    "Publish": {
        1: ("volume_id", "s"),
        2: ("publish_context", "%"),
        3: ("staging_target_path", "s"),
        4: ("target_path", "s"),
        5: ("volume_capability", "VolumeCapability"),
        6: ("readonly", "b"),
        7: ("secrets", "%"),
        8: ("volume_context", "%"),
    },
    "Unpublish": {1: ("volume_id", "s"), 2: ("target_path", "s")},
}


class WireError(ValueError):
    """These bytes are no such message."""


def encode(kind: str, message: Message) -> bytes:
    """The message's bytes; fields that are missing or empty are left out, as proto3 does."""
    parts = []
    for number, (name, type_) in _FIELDS[kind].items():
        value = message.get(name)
        if value is None or (type_ in "sbi" and not value):
            continue
        if type_ == "%":
            entries = sorted(value.items())
            parts += [_chunk(number, _chunk(1, str(k).encode()) + _chunk(2, str(v).encode())) for k, v in entries]
        elif type_ in ("b", "i"):
            parts.append(_varint(number << 3) + _varint(int(value)))
        else:
            items = value if type_[0] == "*" else [value]
            parts += [_chunk(number, _bytes(type_.lstrip("*"), item)) for item in items]
    return b"".join(parts)


def _bytes(type_: str, value: Any) -> bytes:
    return str(value).encode() if type_ == "s" else encode(type_, value)


def decode(kind: str, data: bytes) -> Message:
    """A message from its bytes; unknown fields are passed over. Raises WireError."""
    result: Message = {name: _empty(type_) for name, type_ in _FIELDS[kind].values()}
    at = 0
    while at < len(data):
        tag, at = _read(data, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _read(data, at)
        else:
            length, at = _read(data, at) if tag & 7 == 2 else ({1: 8, 5: 4}.get(tag & 7, len(data) + 1), at)
            value, at = data[at : at + length], at + length
            if at > len(data):
                raise WireError(f"{kind or 'message'} ends too early")
        if tag >> 3 in _FIELDS[kind]:
            _put(result, *_FIELDS[kind][tag >> 3], value)
    return result


def _empty(type_: str) -> Any:
    return {"s": "", "b": False, "i": 0}.get(type_, [] if type_[0] == "*" else {})


def _put(result: Message, name: str, type_: str, value: int | bytes) -> None:
    if isinstance(value, int):
        result[name] = bool(value) if type_ == "b" else value
        return
    if type_ == "%":
        entry = decode_entry(value)
        result[name][entry[0]] = entry[1]
        return
    inner = type_.lstrip("*")
    item = value.decode(errors="replace") if inner == "s" else decode(inner, value)
    if type_[0] == "*":
        result[name].append(item)
    else:
        result[name] = item


def decode_entry(data: bytes) -> tuple[str, str]:
    """One entry of a map of strings."""
    entry = decode("Entry", data)
    return entry["key"], entry["value"]


_FIELDS["Entry"] = {1: ("key", "s"), 2: ("value", "s")}


def _chunk(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("a number ends too early")
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at

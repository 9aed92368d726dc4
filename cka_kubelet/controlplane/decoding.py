"""Whether an object's fields have the types that Kubernetes' API gives them, with Go's words when one has not.

The types are the published ones: `protobuf_schema.txt` (see protobuf.py), and `gotypes.txt` for what that cannot say:
`package.Message field:GoType …` of fields whose Go type is named, or no int32. Kinds that are not there are not
checked. Upstream decodes bodies by encoding/json and the results of strategic merge patches by a converter of its own
(apimachinery pkg/runtime/converter.go), so there are two wordings.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cka_kubelet.controlplane import protobuf
from cka_kubelet.controlplane.kinds import Kind
from cka_kubelet.kube import quantity

Object = dict[str, Any]
_BASIC = {"s": "string", "b": "bool", "i": "int32", "d": "float64", "y": "[]uint8"}
_SINGLE = {"s": "string", "b": "bool", "i": "int", "d": "float64", "y": "slice"}
_JSON = {str: "string", bool: "bool", int: "number", float: "number", dict: "object", list: "array"}
_KINDS = {str: "string", bool: "bool", int: "int64", float: "float64", dict: "map", list: "slice"}


class TypeMismatchError(ValueError):
    """A value does not fit its field; str() is what Go says."""


class _Place(NamedTuple):
    struct: str
    path: str
    go_type: str
    kind: str


Mismatch = Callable[[Any, _Place], str]


def check(kind: Kind, obj: Object) -> None:
    """Raise TypeMismatchError for the first value of a body that its field cannot hold."""
    _walk(kind, obj, _unmarshal)


def check_converted(kind: Kind, obj: Object) -> None:
    """As `check`, of what a strategic merge patch made."""
    _walk(kind, obj, _convert)


def _walk(kind: Kind, obj: Object, words: Mismatch) -> None:
    group, _, version = kind.api_version.rpartition("/")
    message = f"{group.partition('.')[0] or 'core'}/{version}.{kind.kind}"
    _struct(message, obj, "", words)


@cache
def _go_types() -> dict[str, dict[str, str]]:
    lines = (Path(__file__).parent / "gotypes.txt").read_text("ascii").splitlines()
    table = (line.split(" ") for line in lines)
    return {name: dict(word.split(":", 1) for word in words) for name, *words in table}


@cache
def _fields(message: str) -> dict[str, protobuf.Field]:
    """The fields of a struct by their JSON names, those of the structs embedded in it too."""
    return {field.name: field for field in _flat(message)}


def _flat(message: str) -> Iterator[protobuf.Field]:
    for field in protobuf.fields(message):
        if field.mark == "^":
            yield from _flat(field.type[1:])
        else:
            yield field


def _go_type(message: str, field: protobuf.Field) -> str:
    """The type that Go prints for a field, pointers aside."""
    named = _go_types().get(message, {}).get(field.name)
    if named is not None:
        return named
    single = _element(field)
    if field.mark == "*":
        return f"[]{single}"
    return f"map[string]{single}" if field.mark == "%" else single


def _element(field: protobuf.Field) -> str:
    if field.type[0] == ".":
        package, _, name = field.type[1:].rpartition(".")
        return f"{package.rpartition('/')[2]}.{name}"
    return _BASIC.get(field.type, "")


def _struct(message: str, value: Any, path: str, words: Mismatch) -> None:
    known = _fields(message)
    if not known or not isinstance(value, dict):
        return
    struct = message.rpartition(".")[2]
    for name, item in value.items():
        field = known.get(name)
        if field is None or item is None:
            continue
        go_type, kind = _go_type(message, field), _SINGLE.get(field.type, "struct")
        place = _Place(struct, f"{path}.{name}".lstrip("."), go_type, kind)
        if field.mark == "*":
            _require(item, list, place._replace(kind="slice"), words)
            single = place._replace(go_type=go_type.removeprefix("[]"))
            for each in item:
                _value(field, each, single, words)
        elif field.mark == "%":
            _require(item, dict, place._replace(kind="map"), words)
            for each in item.values():
                _value(field, each, place._replace(go_type=_element(field)), words)
        else:
            _value(field, item, place, words)


def _require(value: Any, wanted: type, place: _Place, words: Mismatch) -> None:
    if not isinstance(value, wanted):
        raise TypeMismatchError(words(value, place))


def _value(field: protobuf.Field, value: Any, place: _Place, words: Mismatch) -> None:
    if value is None:
        return
    if field.type[0] == ".":
        if _fields(field.type[1:]):
            _require(value, dict, place, words)
        _struct(field.type[1:], value, place.path, words)
    elif field.type in _BASIC:
        _basic(field.type, value, place, words)
    elif field.type == "Q":
        _quantity(value)
    elif field.type == "I":
        if not isinstance(value, str) and (isinstance(value, bool) or not isinstance(value, int)):
            raise TypeMismatchError(f"json: cannot unmarshal {_JSON[type(value)]} into Go value of type int32")
    elif field.type in "TU" and not isinstance(value, str):
        raise TypeMismatchError(f"json: cannot unmarshal {_JSON[type(value)]} into Go value of type string")


def _basic(kind: str, value: Any, place: _Place, words: Mismatch) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "d":
        fits = number
    elif kind == "i":
        fits = number and float(value).is_integer() and (words is _convert or isinstance(value, int))
    else:
        fits = isinstance(value, bool if kind == "b" else str)
    if not fits:
        raise TypeMismatchError(words(value, place))
    if kind == "y":
        _bytes(value)


def _quantity(value: Any) -> None:
    """Its own decoder takes numbers and strings; of what is neither it sees the JSON text."""
    try:
        quantity.parse(str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else "true")
    except quantity.QuantityError as error:
        raise TypeMismatchError(str(error)) from error


def _bytes(text: str) -> None:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        raise TypeMismatchError(f"illegal base64 data at input byte {_illegal(text)}") from None


def _illegal(text: str) -> int:
    """Where Go's decoder gives up: at a byte that is none of the alphabet, else where a last group is not whole."""
    alphabet = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    bad = next((index for index, letter in enumerate(text) if letter not in alphabet), len(text))
    return bad if bad < len(text) else len(text) // 4 * 4


def _unmarshal(value: Any, place: _Place) -> str:
    shown = _JSON[type(value)]
    if shown == "number" and place.go_type.startswith(("int", "uint")):
        shown = f"number {value}"
    return f"json: cannot unmarshal {shown} into Go struct field {place.struct}.{place.path} of type {place.go_type}"


def _convert(value: Any, place: _Place) -> str:
    held = _KINDS[type(value)]
    if place.kind in ("slice", "map"):
        return f"cannot restore {place.kind} from {held}"
    if place.kind == "struct":
        return f"cannot restore struct from: {held}"
    go_converts = (held == "int64" and place.kind == "string") or (held == "float64" and place.kind == "int")
    if go_converts:
        return f"cannot convert {held} to {place.go_type}"
    return f"unrecognized type: {_int_kind(place.go_type) if place.kind == 'int' else place.kind}"


def _int_kind(go_type: str) -> str:
    return "int64" if go_type == "int64" else "int32"

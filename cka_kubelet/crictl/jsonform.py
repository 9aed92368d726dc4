"""CRI messages as JSON and YAML in the form of Go's protojson and encoding/json."""

import base64
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from cka_kubelet.crictl.errors import Failure

Field = Any
"""A FieldDescriptor; which class that is depends on protobuf's implementation."""

_LONG = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def to_dict(message: Message) -> dict[str, Any]:
    """protojson with EmitDefaultValues: camelCase, 64-bit numbers as strings, unset messages left out."""
    result: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if _is_map(field):
            result[field.json_name] = {str(k): str(value[k]) for k in sorted(value)}  # CRI has string maps only
        elif _is_repeated(field, message):
            result[field.json_name] = [_value(field, item) for item in value]
        elif not field.has_presence or message.HasField(field.name):
            result[field.json_name] = _value(field, value)
    return result


def _is_map(field: Field) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _is_repeated(field: Field, message: Message) -> bool:
    value = getattr(message, field.name)
    return hasattr(value, "extend") and not isinstance(value, (str, bytes))


def _value(field: Field, value: Any) -> Any:
    if isinstance(value, Message):
        return to_dict(value)
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named is not None else value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value) if field.cpp_type in _LONG else value


def all_fields(message: Message) -> dict[str, Any]:
    """As to_dict, but with null for each unset field: what crictl makes of a status before printing it."""
    present = to_dict(message)
    return {field.json_name: present.get(field.json_name) for field in message.DESCRIPTOR.fields}


def go_struct(message: Message) -> dict[str, Any]:
    """encoding/json of the generated Go struct: snake_case names, everything empty left out."""
    result: dict[str, Any] = {}
    for field, value in message.ListFields():
        result[field.name] = go_struct(value) if isinstance(value, Message) else value
    return result


def dump(document: Any) -> str:
    """protojson's multi-line text."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def dump_sorted(document: Any) -> str:
    """encoding/json's text, indented: sorted keys, <, > and & escaped."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).translate(_HTML)


def dump_yaml(document: Any) -> str:
    """The document as YAML with sorted keys; strings that would read as something else in double quotes."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # chosen at run time
        pass

    def text(dumper: Any, value: str) -> Any:
        plain = dumper.resolve(yaml.ScalarNode, value, (True, False)) == "tag:yaml.org,2002:str"
        style = "|" if "\n" in value else None if plain and value else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    result: str = yaml.dump(document, Dumper=Dumper, sort_keys=True, allow_unicode=True, width=1 << 30)
    return result


def parse(text: str) -> Any:
    """A JSON text of the runtime's, numbers as Go's float64 would print them again. Raises Failure."""
    try:
        return json.loads(text, parse_int=_go_number, parse_float=_go_number)
    except (ValueError, RecursionError) as e:
        raise Failure(f"unmarshal status info JSON: {e}") from e


def _go_number(text: str) -> int | float:
    value = float(text)
    return int(Decimal(repr(value))) if value.is_integer() and abs(value) < 1e21 else value


def info_values(info: Mapping[str, str]) -> dict[str, Any]:
    """A verbose answer's info: JSON objects parsed, other values as text without the quotes around it."""
    return {key: parse(value) if value.startswith("{") else value.strip('"') for key, value in info.items()}


def output(documents: list[dict[str, Any]], form: str, template: str) -> None:
    """Print statuses as json, yaml or through a template; a single one is not put into a list."""
    if not documents:
        return
    document: Any = documents[0] if len(documents) == 1 else documents
    if form == "json":
        print(dump_sorted(document))
    elif form == "yaml":
        print(dump_yaml(document))
    elif form == "go-template":
        from cka_kubelet.crictl.template import render

        print(render(template, document))
    else:
        raise Failure(f'unsupported format: "{form}"')


def output_message(message: Message, form: str) -> None:
    """Print a list answer as json or yaml."""
    print(dump(to_dict(message)) if form == "json" else dump_yaml(to_dict(message)))

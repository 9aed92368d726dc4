"""Pod and container configurations: YAML or JSON with the field names of the CRI messages (snake_case)."""

from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from cka_kubelet.crictl.errors import Failure
from cka_kubelet.kube.goyaml import YAMLError, load

M = TypeVar("M", bound=Message)


def read_message(path: str, kind: type[M]) -> M:
    """The message in a file. Unknown fields are ignored, as upstream ignores them. Raises Failure."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise Failure(f"config at {path} not found") from None
    except OSError as e:
        raise Failure(f"open {path}: {(e.strerror or '').lower()}") from e
    try:
        document, _ = load(data)
    except YAMLError as e:
        raise Failure(f"error converting YAML to JSON: {e}") from e
    message = kind()
    if isinstance(document, dict):
        _fill(message, document, kind.DESCRIPTOR.name)
    elif document is not None:
        raise Failure(_mismatch(document, kind.DESCRIPTOR.name))
    return message


def _mismatch(value: Any, target: str) -> str:
    kinds = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    return f"error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kinds[type(value)]} into {target}"


def _fill(message: Message, document: dict[str, Any], where: str) -> None:
    fields = {field.name.lower(): field for field in message.DESCRIPTOR.fields}
    for key, value in document.items():
        field = fields.get(key.lower())
        if field is not None and value is not None:
            try:
                _set(message, field, value, f"Go struct field {where}.{field.name}")
            except (TypeError, ValueError, AttributeError):
                raise Failure(_mismatch(value, f"Go struct field {where}.{field.name}")) from None


def _set(message: Message, field: Any, value: Any, where: str) -> None:
    target = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        target.update({str(k): v for k, v in value.items()})
    elif isinstance(value, list):
        for item in value:
            if field.message_type is not None:
                _fill(target.add(), _object(item, where), field.message_type.name)
            else:
                target.append(_scalar(field, item))
    elif field.message_type is not None:
        target.SetInParent()
        _fill(target, _object(value, where), field.message_type.name)
    else:
        setattr(message, field.name, _scalar(field, value))


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Failure(_mismatch(value, where))
    return value


def _scalar(field: Any, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return str(value).encode()
    if isinstance(value, bool) != (field.type == FieldDescriptor.TYPE_BOOL):
        raise TypeError
    return value

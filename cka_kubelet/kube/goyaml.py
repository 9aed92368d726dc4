"""YAML as Go's Kubernetes libraries read it: JSON values only, Go's error texts, duplicate keys found.

Differences from PyYAML: no timestamps, no sexagesimal numbers, keys become strings, and errors read
`yaml: line 51: found character that cannot start any token` (go-yaml's decode.go, parser.fail).
"""

import re
from typing import Any

import yaml

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YAMLError(ValueError):
    """Not YAML. str() begins with `yaml: `."""


class _Loader(_Base):  # type: ignore[misc]  # chosen at run time: libyaml's when it is there
    """Collects duplicate keys while building plain dicts."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.duplicates: list[str] = []


def _build_map(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    loader.flatten_mapping(node)
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        name = _key_text(key)
        if name in result:
            line = key_node.start_mark.line + 1
            loader.duplicates.append(f'  line {line}: key "{name}" already set in map')
        result[name] = loader.construct_object(value_node, deep=True)
    return result


def _key_text(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def _build_int(_loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(node.value).replace("_", "")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1:].isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    ]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(?:0b[01_]+|0o?[0-7_]*|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)
_Loader.add_constructor("tag:yaml.org,2002:map", _build_map)
_Loader.add_constructor("tag:yaml.org,2002:int", _build_int)


def _message(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return f"yaml: {error.reason}"
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"yaml: {error}"
    problem = (error.problem or "unknown problem parsing YAML content").replace("'\\t' ", "")
    line = 0
    for mark in (error.context_mark, error.problem_mark):
        if mark is not None and mark.line:
            line = mark.line + (1 if isinstance(error, yaml.scanner.ScannerError) else 0)
            break
    return f"yaml: line {line}: {problem}" if line else f"yaml: {problem}"


def load(data: bytes) -> tuple[Any, list[str]]:
    """The first document of `data`, and the complaints a strict decoder makes about repeated keys.

    Raises YAMLError. An empty file gives None.
    """
    loader = None
    try:
        loader = _Loader(data)
        if not loader.check_data():
            return None, []
        value = loader.get_data()
    except yaml.YAMLError as error:
        raise YAMLError(_message(error)) from error
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise YAMLError(f"yaml: {error}") from error
    else:
        return value, loader.duplicates
    finally:
        if loader is not None:
            loader.dispose()

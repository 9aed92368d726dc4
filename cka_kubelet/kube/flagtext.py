"""What pflag shows of flags: their values (the FLAG lines of `-v=1`) and the lines of `--help`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kube.pflag import Flag, ParsedFlags

Default = Callable[[Flag], Any]
"""A flag's value when it is not given; None for its kind's zero."""

_PAIRS = "<comma-separated 'key=value' pairs>"
_TYPES = {
    "slice": "strings", "map": _PAIRS, "configmap": _PAIRS, "thresholds": _PAIRS, "int64": "int",
    "header": "colonSeparatedMultimapStringString",
    "boolmap": "<comma-separated 'key=True|False' pairs>", "bool": "", "version": "version[=true]", "ip": "string",
    "level": "Level", "gates": "colonSeparatedMultimapStringString", "pairs": "stringToString", "float": "float",
    "int32slice": "int32Slice", "array": "stringArray", "certkey": "namedCertKey", "portrange": "portRange",
    "vmodule": "pattern=N,...", "taints": "[]v1.Taint",
}  # fmt: skip
_ZERO = {
    "bool": "false", "int32": "0", "int64": "0", "uint": "0", "float": "0", "slice": "[]", "array": "[]",
    "certkey": "[]", "int32slice": "[]", "level": "0", "quantity": "0", "version": "false",
}  # fmt: skip


def value_text(flag: Flag, value: Any) -> str:
    """What the flag's `String()` gives."""
    if value is None:
        return _ZERO.get(flag.kind, "")
    if flag.kind in ("slice", "array", "certkey", "int32slice"):
        return f"[{','.join(map(str, value))}]"
    if flag.kind == "gates":
        return ",".join(item if ":" in item else f":{item}" for item in value)
    if flag.kind == "vmodule":
        return ",".join(f"{item['filePattern']}={item['verbosity']}" for item in value)
    if flag.kind == "taints":
        return ",".join(f"{item['key']}={item.get('value', '')}:{item['effect']}" for item in value)
    if flag.kind == "header":
        return ",".join(f"{key}:{word}" for key in sorted(value) for word in value[key])
    if isinstance(value, dict):
        sign = "<" if flag.kind == "thresholds" else "="
        return ",".join(f"{key}{sign}{_scalar(value[key])}" for key in sorted(value))
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def values(parsed: ParsedFlags, flags: Mapping[str, Flag], default: Default) -> dict[str, str]:
    """What every flag's `String()` gives, by name."""
    return {name: value_text(flag, parsed.values.get(name, default(flag))) for name, flag in flags.items()}


def log_flags(parsed: ParsedFlags, flags: Mapping[str, Flag], default: Default) -> None:
    """A FLAG line for every flag, by name (component-base/cli/flag PrintFlags)."""
    for name, shown in sorted(values(parsed, flags, default).items()):
        klog.raw("I", "flags.go:64", f"FLAG: --{name}={quote(shown)}", v=1)


def usage_lines(flags: Iterable[Flag], default: Default) -> Iterator[str]:
    """One line for each flag: name, type, default."""
    for flag in flags:
        short = {"help": "-h, ", "v": "-v, "}.get(flag.name, "    ")
        kind = _TYPES.get(flag.kind, flag.kind)
        text = value_text(flag, default(flag))
        notes = []
        if text not in ("", "false", "0", "[]", "0s"):
            notes.append(f"(default {quote(text) if flag.kind == 'string' else text})")
        if flag.deprecated:
            notes.append(f"(DEPRECATED: {flag.deprecated})")
        yield f"{f'  {short}--{flag.name} {kind}'.rstrip():60} {' '.join(notes)}".rstrip()

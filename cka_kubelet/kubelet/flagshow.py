"""What pflag shows of the flags: their values (the FLAG lines of `-v=1`) and the text of `--help`."""

from typing import Any

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kubelet.configload import FLAG_ONLY
from cka_kubelet.kubelet.configschema import DEFAULT_EVICTION_HARD, STRUCTS
from cka_kubelet.kubelet.configuration import at
from cka_kubelet.kubelet.flags import ParsedFlags
from cka_kubelet.kubelet.flagtable import FLAGS, Flag

_PAIRS = "<comma-separated 'key=value' pairs>"
_TYPES = {
    "slice": "strings", "map": _PAIRS, "configmap": _PAIRS, "thresholds": _PAIRS, "int64": "int",
    "header": "colonSeparatedMultimapStringString",
    "boolmap": "<comma-separated 'key=True|False' pairs>", "bool": "", "version": "version[=true]", "ip": "string",
    "level": "Level", "vmodule": "pattern=N,...", "taints": "[]v1.Taint",
}  # fmt: skip
_ZERO = {"bool": "false", "int32": "0", "int64": "0", "slice": "[]", "level": "0", "quantity": "0", "version": "false"}


def _default(flag: Flag) -> Any:
    """A flag's value when it is not given; None for its kind's zero."""
    if not flag.field:
        return flag.default or None
    if flag.field == "evictionHard":
        return DEFAULT_EVICTION_HARD
    value = at(FLAG_ONLY, flag.field)
    if value is not None:
        return value
    struct, *path = "KubeletConfiguration", *flag.field.split(".")
    for key in path:
        field = STRUCTS.get(struct, {}).get(key)
        if field is None:
            return None
        value, struct = field.default, field.kind.removeprefix("object:")
    return value


def value_text(flag: Flag, value: Any) -> str:
    """What the flag's `String()` gives."""
    if value is None:
        return _ZERO.get(flag.kind, "")
    if flag.kind == "slice":
        return f"[{','.join(value)}]"
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
    return str(value).lower() if isinstance(value, bool) else str(value)


def log_flags(parsed: ParsedFlags) -> None:
    """A FLAG line for every flag, by name (component-base/cli/flag PrintFlags)."""
    for name in sorted(FLAGS):
        flag = FLAGS[name]
        shown = value_text(flag, parsed.values.get(name, _default(flag)))
        klog.raw("I", "flags.go:64", f"FLAG: --{name}={quote(shown)}", v=1)


def usage() -> str:
    """The text of --help."""
    lines = [
        'The kubelet is the "node agent" of each node: it registers the node with the API server, takes pods from',
        "there and from manifest files or a URL, and has the container runtime run what those pods describe.",
        "",
        "Usage:",
        "  kubelet [flags]",
        "",
        "Flags:",
    ]
    for name in sorted(FLAGS):
        flag = FLAGS[name]
        short = {"help": "-h, ", "v": "-v, "}.get(name, "    ")
        kind = _TYPES.get(flag.kind, flag.kind)
        text = value_text(flag, _default(flag))
        notes = []
        if text not in ("", "false", "0", "[]", "0s"):
            notes.append(f"(default {quote(text) if flag.kind == 'string' else text})")
        if flag.deprecated:
            notes.append(f"(DEPRECATED: {flag.deprecated})")
        lines.append(f"  {short}--{name} {kind}".rstrip().ljust(60) + f" {' '.join(notes)}".rstrip())
    return "\n".join(lines)

"""The kubelet's FLAG lines of `-v=1` and its text of `--help`."""

from typing import Any

from cka_kubelet.kube import flagtext
from cka_kubelet.kube.pflag import Flag, ParsedFlags
from cka_kubelet.kubelet.configload import FLAG_ONLY
from cka_kubelet.kubelet.configschema import DEFAULT_EVICTION_HARD, STRUCTS
from cka_kubelet.kubelet.configuration import at
from cka_kubelet.kubelet.flagtable import FLAGS


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


def values(parsed: ParsedFlags) -> dict[str, str]:
    """Every flag's value as text, by name: what /flagz tells."""
    return flagtext.values(parsed, FLAGS, _default)


def log_flags(parsed: ParsedFlags) -> None:
    """A FLAG line for every flag."""
    flagtext.log_flags(parsed, FLAGS, _default)


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
    return "\n".join([*lines, *flagtext.usage_lines((FLAGS[name] for name in sorted(FLAGS)), _default)])

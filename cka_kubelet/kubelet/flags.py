"""The command line, parsed as pflag does, and checked as upstream's ValidateKubeletFlags does."""

import re

from cka_kubelet.kube import pflag
from cka_kubelet.kube.pflag import FlagError, ParsedFlags
from cka_kubelet.kubelet.flagtable import FLAGS

_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_LABEL_NAME = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_ALLOWED = (
    "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type", "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch", "kubernetes.io/hostname", "kubernetes.io/os", "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
)  # fmt: skip
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def parse(args: list[str]) -> ParsedFlags:
    """Parse the words after the program's name; prints a line for each deprecated flag. Raises FlagError."""
    return pflag.parse(args, FLAGS)


def _is_kubernetes(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    return any(domain == name or domain.endswith("." + name) for name in ("kubernetes.io", "k8s.io"))


def _is_kubelet_label(key: str) -> bool:
    domain = key.partition("/")[0]
    return key in _ALLOWED or any(domain == prefix or domain.endswith("." + prefix) for prefix in _PREFIXES)


def validate(flags: ParsedFlags) -> None:
    """Upstream's checks of flags that are no configuration fields: node labels. Raises FlagError."""
    labels: dict[str, str] = flags.values.get("node-labels") or {}
    unknown = sorted(key for key in labels if _is_kubernetes(key) and not _is_kubelet_label(key))
    if unknown:
        raise FlagError(
            f"unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [{' '.join(unknown)}]\n"
            "--node-labels in the 'kubernetes.io' namespace must begin with an allowed prefix "
            f"({', '.join(_PREFIXES)}) or be in the specifically allowed set ({', '.join(_ALLOWED)})"
        )
    wrong = []
    for key, value in labels.items():
        if not _LABEL_NAME.match(key.rpartition("/")[2]):
            wrong.append(f"'{key}' - {_NAME_RULE}")
        if not _LABEL_VALUE.match(value):
            wrong.append(f"'{value}' - {_VALUE_RULE}")
        elif len(value) > 63:
            wrong.append(f"'{value}' - must be no more than 63 bytes")
    if wrong:
        raise FlagError(f"invalid node labels: {'; '.join(wrong)}")

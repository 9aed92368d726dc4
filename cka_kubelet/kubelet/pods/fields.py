"""The downward API: values of a pod's own fields and resources. Pure."""

import re
from math import ceil

from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.resources import amount

_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


def field_value(pod: objects.Pod, path: str, pod_ips: list[str], host_ips: list[str]) -> str:
    """The text of a field path that a pod may refer to; raises LookupError for any other."""
    metadata, spec = pod["metadata"], pod["spec"]
    subscript = _SUBSCRIPT.match(path)
    if subscript:
        return str((metadata.get(subscript[1]) or {}).get(subscript[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        values = metadata.get(path.split(".")[1]) or {}
        return "\n".join(f"{k}={_quoted(v)}" for k, v in sorted(values.items()))
    simple = {
        "metadata.name": objects.name(pod),
        "metadata.namespace": objects.namespace(pod),
        "metadata.uid": objects.uid(pod),
        "spec.nodeName": spec.get("nodeName") or "",
        "spec.serviceAccountName": spec.get("serviceAccountName") or "",
        "status.hostIP": host_ips[0] if host_ips else "",
        "status.hostIPs": ",".join(host_ips),
        "status.podIP": pod_ips[0] if pod_ips else "",
        "status.podIPs": ",".join(pod_ips),
    }
    if path not in simple:
        raise LookupError(f"unsupported fieldPath: {path}")
    return str(simple[path])


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def resource_value(container: objects.Container, resource: str, divisor: str, allocatable: dict[str, str]) -> str:
    """`limits.cpu` and friends in units of the divisor, rounded up; no limit, or zero, is the node's allocatable."""
    kind, _, name = resource.partition(".")
    resources = container.get("resources") or {}
    text = (resources.get(kind) or {}).get(name)
    if kind == "limits" and amount(str(text or "0")) == 0:  # MergeContainerResourceLimits takes a zero for none
        text = allocatable.get(name)
    unit = amount(divisor) if divisor not in ("", "0") else amount("1")
    return str(ceil(amount(str(text or "0")) / unit))

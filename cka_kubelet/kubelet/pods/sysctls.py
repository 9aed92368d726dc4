"""Which sysctls a pod may set: the safe ones, and those of allowedUnsafeSysctls (pkg/kubelet/sysctl)."""

from collections.abc import Iterable

from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kubelet.pods import objects

SAFE = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
)


def forbidden(pod: objects.Pod, unsafe: Iterable[str]) -> str | None:
    """Why the pod's sysctls are refused, or None. `unsafe` names sysctls, or their beginnings before a `*`."""
    allowed = (*SAFE, *unsafe)
    for sysctl in (pod["spec"].get("securityContext") or {}).get("sysctls") or []:
        name = _dotted(sysctl["name"])
        if not any(_matches(name, pattern) for pattern in allowed):
            return f"{q(name)} not allowlisted"
        for namespace, shared in (("net", "hostNetwork"), ("ipc", "hostIPC")):
            if pod["spec"].get(shared) and (namespace == "net") == name.startswith("net."):
                return f"{q(name)} not allowed with host {namespace} enabled"
    return None


def _dotted(name: str) -> str:
    """`a/b` and `a.b` are one sysctl; where the first separator is a slash, dots are slashes."""
    first = next((c for c in name if c in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(_dotted(pattern[:-1])) if pattern.endswith("*") else name == _dotted(pattern)

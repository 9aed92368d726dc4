"""Settings with which the kubelet runs and its node is Ready, and yet something is refused to those who ask it."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, ReplaceText, Step, Unit, WriteFile

_CONFIG = "/var/lib/kubelet/config.yaml"
_RESTART = Unit("kubelet.service", "restart")


def _with(text: str, key: str, value: object) -> Step:
    """The configuration with one more key of the top level. Raises ValueError when it is there already."""
    if re.search(rf"^{key}:", text, re.MULTILINE):
        raise ValueError(f"{_CONFIG} sets {key} already")
    return WriteFile(_CONFIG, f"{text.rstrip()}\n{key}: {value}\n".encode())


class DebuggingHandlersOff:
    """Set `enableDebuggingHandlers: false`, and restart the kubelet: no logs, no exec."""

    name = "debugging-handlers-off"
    parameters: Sequence[Parameter] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        return (_with(context.text(_CONFIG), "enableDebuggingHandlers", "false"), _RESTART)


class ClientCAOther:
    """Trust another CA for clients, one that has the name of the cluster's, and restart the kubelet."""

    name = "client-ca-other"
    parameters = (Parameter("path", "", "where the other CA is written; empty chooses"),)

    def steps(self, context: Context) -> Sequence[Step]:
        from fault_injectors.certificates import stranger_ca  # cryptography loads only when it is needed

        old = re.search(r"clientCAFile:[ \t]*\S+", context.text(_CONFIG))
        if old is None:
            raise ValueError(f"{_CONFIG} sets no clientCAFile")
        names = ("kubelet-ca.crt", "ca-bundle.crt", "cluster-ca.crt", "front-proxy-ca.crt")
        path = str(context.parameters["path"]) or f"/etc/kubernetes/pki/{context.random.choice(names)}"
        return (
            WriteFile(path, stranger_ca(context.now)),
            ReplaceText(_CONFIG, old.group(), f"clientCAFile: {path}"),
            _RESTART,
        )


class PodsLimited:
    """Set `maxPods` to next to nothing, and restart the kubelet."""

    name = "maxpods-low"
    parameters = (Parameter("most", 1, "how many pods the node takes"),)

    def steps(self, context: Context) -> Sequence[Step]:
        return (_with(context.text(_CONFIG), "maxPods", context.parameters["most"]), _RESTART)


class ReservedAlmostAll:
    """Reserve nearly all of the node's CPU for the system, and restart the kubelet."""

    name = "reserved-almost-all"
    parameters = (Parameter("left", 0, "thousandths of a CPU that are left for pods; 0 chooses 20 to 60"),)

    def steps(self, context: Context) -> Sequence[Step]:
        node = context.object(f"/api/v1/nodes/{context.node}") or {}
        capacity = str(node.get("status", {}).get("capacity", {}).get("cpu", ""))
        if not capacity.isdigit():
            raise ValueError(f"the API server does not say how many CPUs {context.node} has")
        left = int(context.parameters["left"]) or context.random.choice((20, 30, 50, 60))
        reserved = f"\n  cpu: {int(capacity) * 1000 - left}m"
        return (_with(context.text(_CONFIG), "systemReserved", reserved), _RESTART)


class ResolvConfMissing:
    """Name a resolver configuration that does not exist, and restart the kubelet."""

    name = "resolv-conf-missing"
    parameters = (Parameter("path", "", "the wrong path; empty chooses that of another distribution"),)

    def steps(self, context: Context) -> Sequence[Step]:
        paths = ("/run/systemd/resolve/resolv.conf", "/run/resolvconf/resolv.conf", "/etc/resolv.conf.kubelet")
        path = str(context.parameters["path"] or context.random.choice(paths))
        if context.files(context.node, path):
            raise ValueError(f"{path} is there")
        return (_with(context.text(_CONFIG), "resolvConf", path), _RESTART)


class StaticPodPathWrong:
    """Let the kubelet look for static pods in an empty place, and restart it."""

    name = "static-pod-path-wrong"
    parameters = (Parameter("path", "", "the wrong path; empty chooses one that might have been right"),)

    def steps(self, context: Context) -> Sequence[Step]:
        old = re.search(r"staticPodPath:[ \t]*\S+", context.text(_CONFIG))
        if old is None:
            raise ValueError(f"{_CONFIG} sets no staticPodPath")
        paths = (
            "/etc/kubernetes/manifest",
            "/etc/kubelet.d",
            "/etc/kubernetes/static-pods",
            "/var/lib/kubelet/manifests",
        )
        path = str(context.parameters["path"] or context.random.choice(paths))
        return (ReplaceText(_CONFIG, old.group(), f"staticPodPath: {path}"), _RESTART)

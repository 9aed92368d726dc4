"""Mistakes in the kubelet's configuration file with which it does not start."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, ReplaceText, Step, Unit, WriteFile

_CONFIG = "/var/lib/kubelet/config.yaml"
_RESTART = Unit("kubelet.service", "restart")
_ENDPOINT = re.compile(r"containerRuntimeEndpoint:[ \t]*\S+")
_SOCKETS = (
    "/var/run/dockershim.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/containerd/containerd.socket",
)
_TOP_LEVEL = ("clusterDomain:", "rotateCertificates:", "staticPodPath:")


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise ValueError(f"{_CONFIG} does not say {pattern}")
    return match.group()


class RuntimeEndpointWrong:
    """Change `containerRuntimeEndpoint` to a socket at which no runtime listens, and restart the kubelet."""

    name = "runtime-endpoint-wrong"
    parameters = (Parameter("socket", "", "the wrong socket's path; empty chooses that of another runtime"),)

    def steps(self, context: Context) -> Sequence[Step]:
        old = _found(_ENDPOINT.pattern, context.text(_CONFIG))
        socket = str(context.parameters["socket"] or context.random.choice(_SOCKETS))
        return (ReplaceText(_CONFIG, old, f"containerRuntimeEndpoint: unix://{socket}"), _RESTART)


class ConfigIndented:
    """Indent one key of the top level, so that the file is no YAML any more, and restart the kubelet."""

    name = "config-indented"
    parameters = (Parameter("spaces", 0, "by how many; 0 chooses 1 to 3"),)

    def steps(self, context: Context) -> Sequence[Step]:
        text = context.text(_CONFIG)
        keys = [key for key in _TOP_LEVEL if re.search(rf"^[^\s#-].*:[ \t]*\S.*\n{key}", text, re.MULTILINE)]
        if not keys:
            raise ValueError(f"{_CONFIG} has none of {', '.join(_TOP_LEVEL)} after another value")
        key = context.random.choice(keys)
        spaces = int(context.parameters["spaces"]) or context.random.randint(1, 3)
        return (WriteFile(_CONFIG, text.replace(f"\n{key}", f"\n{' ' * spaces}{key}").encode()), _RESTART)


class ConfigVersionWrong:
    """Give the file an `apiVersion` that no kubelet knows, and restart the kubelet."""

    name = "config-version-wrong"
    parameters = (Parameter("version", "", "the wrong version; empty chooses one that might come"),)

    def steps(self, context: Context) -> Sequence[Step]:
        old = _found(r"^apiVersion:[ \t]*\S+$", context.text(_CONFIG))
        version = str(context.parameters["version"] or context.random.choice(("v1", "v1beta2", "v1alpha2")))
        return (ReplaceText(_CONFIG, old, f"apiVersion: kubelet.config.k8s.io/{version}"), _RESTART)


class ReservedTooMuch:
    """Reserve more memory for the system than the node has, and restart the kubelet."""

    name = "reserved-too-much"
    parameters = (Parameter("gibibytes", 0, "how much; 0 chooses 2048 to 8192, more than any lab machine has"),)

    def steps(self, context: Context) -> Sequence[Step]:
        text = context.text(_CONFIG)
        if "systemReserved:" in text:
            raise ValueError(f"{_CONFIG} reserves something already")
        amount = int(context.parameters["gibibytes"]) or context.random.choice((2048, 4096, 8192))
        return (WriteFile(_CONFIG, f"{text.rstrip()}\nsystemReserved:\n  memory: {amount}Gi\n".encode()), _RESTART)

"""crictl asks where no runtime listens; the kubelet, which has its own setting, notices nothing."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, ReplaceText, Step

_FILE = "/etc/crictl.yaml"
_SOCKETS = (
    "/var/run/dockershim.sock",
    "/run/crio/crio.sock",
    "/var/run/cri-dockerd.sock",
    "/run/containerd/containerd.socket",
)


class ClientEndpointWrong:
    """Change every endpoint in crictl's configuration."""

    name = "client-endpoint-wrong"
    parameters = (Parameter("socket", "", "the wrong socket's path; empty chooses that of another runtime"),)

    def steps(self, context: Context) -> Sequence[Step]:
        found = dict.fromkeys(re.findall(r"unix://\S+", context.text(_FILE)))
        if not found:
            raise ValueError(f"{_FILE} names no endpoint")
        socket = str(context.parameters["socket"] or context.random.choice(_SOCKETS))
        return [ReplaceText(_FILE, old, f"unix://{socket}") for old in found]

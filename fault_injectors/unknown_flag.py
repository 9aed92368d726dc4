"""The kubelet is started with a flag that its version no longer has."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, ReplaceText, Step, Unit

_FLAGS = "/var/lib/kubelet/kubeadm-flags.env"
_LINE = re.compile(r'^KUBELET_KUBEADM_ARGS="(.*)"$', re.MULTILINE)
_REMOVED = (
    "--container-runtime=remote",
    "--network-plugin=cni",
    "--cni-bin-dir=/opt/cni/bin",
    "--pod-infra-container-image=registry.k8s.io/pause:3.9",
    "--keep-terminated-pod-volumes=false",
)


class UnknownFlag:
    """Add a flag to KUBELET_KUBEADM_ARGS and restart the kubelet."""

    name = "unknown-flag"
    parameters = (Parameter("flag", "", "the flag with its value; empty chooses one that older releases had"),)

    def steps(self, context: Context) -> Sequence[Step]:
        match = _LINE.search(context.text(_FLAGS))
        if match is None:
            raise ValueError(f"{_FLAGS} does not set KUBELET_KUBEADM_ARGS")
        flag = str(context.parameters["flag"] or context.random.choice(_REMOVED))
        flags = f"{match.group(1)} {flag}".strip()
        return (
            ReplaceText(_FLAGS, match.group(), f'KUBELET_KUBEADM_ARGS="{flags}"'),
            Unit("kubelet.service", "restart"),
        )

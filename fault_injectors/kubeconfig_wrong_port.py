"""The kubelet's kubeconfig names a port on which no API server listens."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, ReplaceText, Step, Unit

_KUBECONFIG = "/etc/kubernetes/kubelet.conf"
_SERVER = re.compile(r"server:\s*(https://\S+?):(\d+)\s*$", re.MULTILINE)
_LOOKALIKES = (6334, 6343, 6433, 6444, 6445, 6553)


class KubeconfigWrongPort:
    """Change the port in `clusters[].cluster.server` and restart the kubelet."""

    name = "kubeconfig-wrong-port"
    parameters = (Parameter("port", 0, "the wrong port; 0 chooses one that looks much like the right one"),)

    def steps(self, context: Context) -> Sequence[Step]:
        match = _SERVER.search(context.text(_KUBECONFIG))
        if match is None:
            raise ValueError(f"{_KUBECONFIG} has no server line with a port")
        address, right = match.groups()
        port = context.parameters["port"] or context.random.choice([p for p in _LOOKALIKES if str(p) != right])
        return (
            ReplaceText(_KUBECONFIG, f"{address}:{right}", f"{address}:{port}"),
            Unit("kubelet.service", "restart"),
        )

"""The kubelet's kubeconfig trusts another CA than the one that signed the API server's certificate."""

import base64
import re
from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, ReplaceText, Step, Unit

_KUBECONFIG = "/etc/kubernetes/kubelet.conf"
_CA = re.compile(r"certificate-authority(?:-data)?:[ \t]*\S+")


class KubeconfigWrongCA:
    """Put a stranger's CA, with kubeadm's subject, into `certificate-authority-data` and restart the kubelet."""

    name = "kubeconfig-wrong-ca"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        from fault_injectors.certificates import stranger_ca  # cryptography loads only when it is needed

        match = _CA.search(context.text(_KUBECONFIG))
        if match is None:
            raise ValueError(f"{_KUBECONFIG} names no certificate authority")
        data = base64.b64encode(stranger_ca(context.now)).decode()
        return (
            ReplaceText(_KUBECONFIG, match.group(), f"certificate-authority-data: {data}"),
            Unit("kubelet.service", "restart"),
        )

"""The kubelet's configuration names a client CA file that does not exist."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Absent, Context, Parameter, ReplaceText, Step, Unit

_CONFIG = "/var/lib/kubelet/config.yaml"
_FIELD = re.compile(r"clientCAFile:[ \t]*\S+")
_PATHS = (
    "/etc/kubernetes/pki/ca.pem",
    "/etc/kubernetes/pki/client-ca.crt",
    "/etc/kubernetes/pki/kubelet-ca.crt",
    "/etc/kubernetes/ca.crt",
)


class ClientCAFileWrong:
    """Change `authentication.x509.clientCAFile` and restart the kubelet."""

    name = "client-ca-file-wrong"
    parameters = (Parameter("path", "", "the wrong path; empty chooses one that might have been right"),)

    def steps(self, context: Context) -> Sequence[Step]:
        match = _FIELD.search(context.text(_CONFIG))
        if match is None:
            raise ValueError(f"{_CONFIG} sets no clientCAFile")
        path = str(context.parameters["path"] or context.random.choice(_PATHS))
        change = ReplaceText(_CONFIG, match.group(), f"clientCAFile: {path}")
        return (Absent(path), change, Unit("kubelet.service", "restart"))

"""The kubelet's kubeconfig is gone, or says where nobody is."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Absent, Context, MoveFile, Parameter, ReplaceText, Step, Unit

_KUBECONFIG = "/etc/kubernetes/kubelet.conf"
_BOOTSTRAP = "/etc/kubernetes/bootstrap-kubelet.conf"
_RESTART = Unit("kubelet.service", "restart")
_SERVER = re.compile(r"server:\s*https://([^\s:]+):\d+\s*$", re.MULTILINE)
_CURRENT = re.compile(r"^current-context:[ \t]*(\S+)$", re.MULTILINE)


class KubeconfigMoved:
    """Move kubelet.conf away and restart the kubelet."""

    name = "kubeconfig-moved"
    parameters = (Parameter("to", "", "the new path; empty chooses one below /var/backups or /root"),)

    def steps(self, context: Context) -> Sequence[Step]:
        context.text(_KUBECONFIG)  # raises when it is not there
        places = ("/var/backups/kubelet.conf", "/root/kubelet.conf.bak", "/etc/kubernetes/kubelet.conf.old")
        to = str(context.parameters["to"] or context.random.choice(places))
        return (MoveFile(_KUBECONFIG, to), Absent(_BOOTSTRAP), _RESTART)


class KubeconfigWrongHost:
    """Name a host that does not resolve in `clusters[].cluster.server`, and restart the kubelet."""

    name = "kubeconfig-wrong-host"
    parameters = (Parameter("host", "", "the wrong name; empty chooses one below .invalid, which never resolves"),)

    def steps(self, context: Context) -> Sequence[Step]:
        match = _SERVER.search(context.text(_KUBECONFIG))
        if match is None:
            raise ValueError(f"{_KUBECONFIG} has no server line")
        names = ("k8s-api.invalid", "controlplane-01.invalid", "apiserver.cluster.invalid")
        host = str(context.parameters["host"] or context.random.choice(names))
        return (ReplaceText(_KUBECONFIG, f"https://{match.group(1)}:", f"https://{host}:"), _RESTART)


class KubeconfigWrongContext:
    """Let `current-context` name a context that the file does not have, and restart the kubelet."""

    name = "kubeconfig-wrong-context"
    parameters = (Parameter("context", "", "the wrong name; empty chooses one that other files use"),)

    def steps(self, context: Context) -> Sequence[Step]:
        match = _CURRENT.search(context.text(_KUBECONFIG))
        if match is None:
            raise ValueError(f"{_KUBECONFIG} has no current-context")
        names = [n for n in ("kubernetes-admin@kubernetes", "default", "kubelet@kubernetes") if n != match.group(1)]
        name = str(context.parameters["context"] or context.random.choice(names))
        return (ReplaceText(_KUBECONFIG, match.group(), f"current-context: {name}"), Absent(_BOOTSTRAP), _RESTART)

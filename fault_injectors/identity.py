"""The kubelet takes itself, or the cluster, for another than it is."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Absent, Context, Parameter, ReplaceText, Step, Unit, WriteFile

_KUBECONFIG = "/etc/kubernetes/kubelet.conf"
_EXTRA = "/etc/default/kubelet"
_USER = re.compile(r"^([ ]+)user:[ \t]*(\S+)$", re.MULTILINE)
_RESTART = Unit("kubelet.service", "restart")


def _extra_arguments(context: Context, flag: str) -> WriteFile:
    """/etc/default/kubelet, which is not there as long as nobody needed it, with this flag."""
    if _EXTRA in context.files(context.node, "/etc/default"):
        raise ValueError(f"{_EXTRA} is there already")
    return WriteFile(_EXTRA, f'KUBELET_EXTRA_ARGS="{flag}"\n'.encode())


class HostnameOverridden:
    """Give the kubelet a node name that its certificate is not for, in /etc/default/kubelet, and restart it."""

    name = "hostname-overridden"
    parameters = (Parameter("hostname", "", "that name; empty chooses one much like the right one"),)

    def steps(self, context: Context) -> Sequence[Step]:
        names = (f"{context.node}.cluster.local", f"{context.node}-new", f"worker-{context.node}")
        name = str(context.parameters["hostname"] or context.random.choice(names))
        return (_extra_arguments(context, f"--hostname-override={name}"), _RESTART)


class ExtraArgumentSplit:
    """A blank after a flag's `=` in /etc/default/kubelet makes a word of its value that is no flag."""

    name = "extra-argument-split"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        flags = ("--node-labels= disktype=ssd", "--node-labels= tier=gold", "--v= 2")
        return (_extra_arguments(context, context.random.choice(flags)), _RESTART)


class KubeconfigWrongUser:
    """Let the context of kubelet.conf name a user that the file does not have, and restart the kubelet."""

    name = "kubeconfig-wrong-user"
    parameters = (Parameter("user", "", "that user; empty chooses one"),)

    def steps(self, context: Context) -> Sequence[Step]:
        match = _USER.search(context.text(_KUBECONFIG))
        if match is None:
            raise ValueError(f"{_KUBECONFIG} has no context that names a user")
        names = ("kubernetes-admin", "kubelet", "default-user")
        user = str(context.parameters["user"] or context.random.choice(names))
        change = ReplaceText(_KUBECONFIG, match.group(), f"{match.group(1)}user: {user}")
        return (Absent("/etc/kubernetes/bootstrap-kubelet.conf"), change, _RESTART)


class KubeconfigPlainHTTP:
    """Let kubelet.conf speak plain HTTP to a port that expects TLS, and restart the kubelet."""

    name = "kubeconfig-plain-http"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        return (
            Absent("/etc/kubernetes/bootstrap-kubelet.conf"),
            ReplaceText(_KUBECONFIG, "server: https://", "server: http://"),
            _RESTART,
        )

"""The container runtime does not run: its socket is gone, the kubelet stays up and reports it."""

from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, Step, Unit

_CONTAINERD = "containerd.service"
_KUBELET = "kubelet.service"


class ContainerdStopped:
    """`systemctl stop containerd`. A kubelet that is restarted meanwhile exits at once, because it cannot reach it."""

    name = "containerd-stopped"
    parameters = (
        Parameter("disabled", False, "also remove containerd from the boot target"),
        Parameter("restart_kubelet", False, "restart the kubelet afterwards, so that it crash-loops"),
    )

    def steps(self, context: Context) -> Sequence[Step]:
        steps: list[Step] = [Unit(_CONTAINERD, "stop")]
        if context.parameters["disabled"]:
            steps.append(Unit(_CONTAINERD, "disable"))
        if context.parameters["restart_kubelet"]:
            steps.append(Unit(_KUBELET, "restart"))
        return steps

"""The kubelet does not run and, if the lab says so, will not run after a reboot either."""

from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, Step, Unit

_KUBELET = "kubelet.service"


class KubeletStopped:
    """`systemctl stop kubelet`, and `disable` unless told otherwise."""

    name = "kubelet-stopped"
    parameters = (Parameter("disabled", True, "also remove the unit from the boot target"),)

    def steps(self, context: Context) -> Sequence[Step]:
        if context.parameters["disabled"]:
            return (Unit(_KUBELET, "disable"), Unit(_KUBELET, "stop"))
        return (Unit(_KUBELET, "stop"),)

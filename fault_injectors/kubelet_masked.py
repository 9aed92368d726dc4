"""The kubelet's unit is masked: it can neither be started nor enabled until that is taken back."""

from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, Step, Unit

_KUBELET = "kubelet.service"


class KubeletMasked:
    """`systemctl mask --now kubelet`."""

    name = "kubelet-masked"
    parameters = (Parameter("stop", True, "stop it as well; otherwise it runs until the next reboot"),)

    def steps(self, context: Context) -> Sequence[Step]:
        if context.parameters["stop"]:
            return (Unit(_KUBELET, "stop"), Unit(_KUBELET, "mask"))
        return (Unit(_KUBELET, "mask"),)

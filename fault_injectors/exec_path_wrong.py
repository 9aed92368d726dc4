"""The kubelet's unit starts a program that does not exist: systemd's 203/EXEC."""

from collections.abc import Sequence

from cka_kubelet.faults import Absent, Context, DaemonReload, Parameter, ReplaceText, Step, Unit

_DROP_INS = ("/usr/lib/systemd/system/kubelet.service.d", "/etc/systemd/system/kubelet.service.d")
_PROGRAM = "ExecStart=/usr/bin/kubelet"
_PATHS = ("/usr/local/bin/kubelet", "/opt/bin/kubelet", "/usr/sbin/kubelet", "/usr/bin/local/kubelet")


class ExecPathWrong:
    """Change the program in the drop-in of kubeadm, reload systemd and restart the kubelet."""

    name = "exec-path-wrong"
    parameters = (Parameter("path", "", "the wrong path; empty chooses one that other distributions use"),)

    def steps(self, context: Context) -> Sequence[Step]:
        for directory in _DROP_INS:
            for file in context.files(context.node, directory):
                if file.endswith(".conf") and f"{_PROGRAM} " in context.text(file):
                    path = str(context.parameters["path"] or context.random.choice(_PATHS))
                    return (
                        Absent(path),
                        ReplaceText(file, f"{_PROGRAM} ", f"ExecStart={path} "),
                        DaemonReload(),
                        Unit("kubelet.service", "restart"),
                    )
        raise ValueError(f"no drop-in of the kubelet has {_PROGRAM}")

"""Mistakes in containerd's configuration that take the runtime away from the kubelet."""

from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, Step, Unit, WriteFile

_CONFIG = "/etc/containerd/config.toml"
_KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
_CONTAINERD = "containerd.service"
_KUBELET = "kubelet.service"


def _after_version(context: Context, lines: str) -> WriteFile:
    head, newline, rest = context.text(_CONFIG).partition("\n")
    if not head.startswith("version = ") or not newline:
        raise ValueError(f"{_CONFIG} does not begin with its version")
    return WriteFile(_CONFIG, f"{head}\n{lines}\n{rest}".encode())


class CRIPluginDisabled:
    """Disable containerd's CRI plug-in, as packages for Docker do; restart containerd and the kubelet."""

    name = "cri-plugin-disabled"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        word = context.random.choice(("cri", "io.containerd.grpc.v1.cri"))
        change = _after_version(context, f'disabled_plugins = ["{word}"]')
        return (change, Unit(_CONTAINERD, "restart"), Unit(_KUBELET, "restart"))


class ContainerdSocketMoved:
    """Let containerd listen at another socket; restart it and the kubelet.

    The kubelet's configuration stays as it is, but is among what is put back: many a learner changes that instead.
    """

    name = "containerd-socket-moved"
    parameters = (Parameter("socket", "", "that socket's path; empty chooses one"),)

    def steps(self, context: Context) -> Sequence[Step]:
        sockets = ("/run/containerd/cri.sock", "/run/containerd/containerd-cri.sock", "/run/cri/containerd.sock")
        socket = str(context.parameters["socket"] or context.random.choice(sockets))
        text = context.text(_CONFIG)
        if "[grpc]" in text:
            raise ValueError(f"{_CONFIG} has a section [grpc] already")
        change = WriteFile(_CONFIG, f'{text.rstrip()}\n\n[grpc]\n  address = "{socket}"\n'.encode())
        same = WriteFile(_KUBELET_CONFIG, context.read(context.node, _KUBELET_CONFIG))
        return (change, same, Unit(_CONTAINERD, "restart"), Unit(_KUBELET, "restart"))


class ContainerdConfigBroken:
    """Stop containerd, and take a quotation mark or bracket out of its configuration, so that it does not start."""

    name = "containerd-config-broken"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        lines = context.text(_CONFIG).splitlines(keepends=True)
        usable = [index for index, line in enumerate(lines) if line.rstrip().endswith(('"', "]"))]
        if not usable:
            raise ValueError(f"{_CONFIG} has no line that ends with a quotation mark or a bracket")
        index = context.random.choice(usable)
        lines[index] = lines[index].rstrip()[:-1] + "\n"
        return (Unit(_CONTAINERD, "stop"), WriteFile(_CONFIG, "".join(lines).encode()), Unit(_KUBELET, "restart"))

"""The runtime finds no CNI configuration: it was moved out of /etc/cni/net.d."""

from collections.abc import Sequence

from cka_kubelet.faults import Context, MoveFile, Parameter, Step

_DIRECTORY = "/etc/cni/net.d"
_READ_BY_CONTAINERD = (".conf", ".conflist", ".json")


class CNIConfigMissing:
    """Move every configuration containerd would read to another directory.

    Not a sibling name: a rename inside the watched directory makes containerd read it again, a move into it does not
    (containerd issue 11715), and that is what a learner should meet.
    """

    name = "cni-config-missing"
    parameters = (Parameter("to", "/var/backups", "the directory they are moved to"),)

    def steps(self, context: Context) -> Sequence[Step]:
        found = [path for path in context.files(context.node, _DIRECTORY) if path.endswith(_READ_BY_CONTAINERD)]
        if not found:
            raise ValueError(f"{_DIRECTORY} holds no configuration")
        to = str(context.parameters["to"]).rstrip("/")
        return [MoveFile(path, f"{to}/{path.rpartition('/')[2]}") for path in found]

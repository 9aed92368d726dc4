"""What a lab itself brings into the cluster, put there and taken out again as a fault is."""

from collections.abc import Mapping, Sequence
from typing import Any

from cka_kubelet.faults import Context, Parameter, PutObject, Step
from cka_kubelet.labspec.workload import object_path


class Workload:
    """See `Fault`."""

    name = "workload"
    parameters: tuple[Parameter, ...] = ()

    def __init__(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        self._manifests = manifests

    def steps(self, context: Context) -> Sequence[Step]:
        return [PutObject(object_path(manifest), manifest) for manifest in self._manifests]

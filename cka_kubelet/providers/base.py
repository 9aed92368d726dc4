"""Where nodes come from. Above this, a container, a VM and a pod in a school's cluster are the same: a `Cluster`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cka_kubelet.provision.spec import Progress, Role
from cka_kubelet.remote.shell import Shell

__all__ = ["SINGLE_NODE", "Cluster", "NodeInfo", "Progress", "Provider", "Role"]

SINGLE_NODE = "node01"
"""The name of a node that is the whole cluster, its control plane included."""


@dataclass(frozen=True)
class NodeInfo:
    """One node. `address`: in the cluster's network; `ssh_host`:`ssh_port`: where this machine reaches it."""

    name: str
    address: str
    ssh_host: str
    ssh_port: int
    role: Role


class Cluster(Protocol):
    """Running nodes, reachable by SSH."""

    @property
    def id(self) -> str:
        """Distinguishes this cluster from every other; in the nodes' marker file too."""
        ...

    @property
    def nodes(self) -> Mapping[str, NodeInfo]:
        """By name, the control plane first."""
        ...

    def shell(self, name: str) -> Shell:
        """The node's shell, one for everybody. Raises KeyError for an unknown name."""
        ...

    def reboot(self, name: str) -> None:
        """Really reboot a node and wait until its SSH answers and systemd has finished starting. Raises NodeError."""
        ...

    def destroy(self) -> None:
        """Remove the nodes (container) or take everything of ours off them (ssh). Safe to repeat."""
        ...


class Provider(Protocol):
    """Makes clusters, and finds those it made."""

    def acquire(self, progress: Progress) -> Cluster:
        """A healthy cluster with every node Ready. Raises EnvironmentError_, ProvisionError, NodeError."""
        ...

    def existing(self) -> Sequence[Cluster]:
        """Clusters of ours that exist now, running or left behind by a crash."""
        ...

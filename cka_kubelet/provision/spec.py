"""What a cluster of lab nodes looks like, as data. Everything else in this package is derived from it."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Progress = Callable[[str, str], None]
"""Called with (phase or node, detail), both short and for people; from several threads."""

Role = Literal["control-plane", "worker"]

ControlPlane = Literal["unit", "static-pods"]
"""How a cluster's control plane runs: one program of a systemd unit, quick and small, or as kubeadm leaves it."""
CONTROL_PLANES: tuple[ControlPlane, ...] = get_args(ControlPlane)

SERVICE_CIDR = "10.96.0.0/12"
POD_CIDR = "10.244.0.0/16"
SERVICE_IP = "10.96.0.1"
DNS_IP = "10.96.0.10"
API_PORT = 6443


@dataclass(frozen=True)
class NodeSpec:
    """One node. `address` is its own; `pod_cidr` the slice of POD_CIDR its CNI hands out."""

    name: str
    role: Role
    address: str
    pod_cidr: str


@dataclass(frozen=True)
class ClusterSpec:
    """The nodes, control plane first, with the PKI they share (see pki.make_pki).

    `marker` is the id written into every node's marker file; `node_key` lets root on one node ssh to the others.
    `own_hosts`: the user's machines, whose host names and /etc/hosts are not ours to choose.
    """

    marker: str
    nodes: tuple[NodeSpec, ...]
    pki: Mapping[str, bytes]
    node_key: str
    node_public_key: str
    own_hosts: bool = False
    control_plane_runs: ControlPlane = "unit"

    @property
    def control_plane(self) -> NodeSpec:
        return self.nodes[0]

    def static_pods(self, node: NodeSpec) -> bool:
        """Whether this node's kubelet runs the control plane from /etc/kubernetes/manifests."""
        return node.role == "control-plane" and self.control_plane_runs == "static-pods"

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.control_plane.address}:{API_PORT}"


def node_specs(addresses: Mapping[str, str]) -> tuple[NodeSpec, ...]:
    """Specs for nodes by name → address; the first is the control plane."""
    slices = ipaddress.ip_network(POD_CIDR).subnets(new_prefix=24)
    return tuple(
        NodeSpec(name, "control-plane" if index == 0 else "worker", address, str(cidr))
        for index, ((name, address), cidr) in enumerate(zip(addresses.items(), slices, strict=False))
    )

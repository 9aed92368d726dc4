"""A cluster as injections see it."""

from cka_kubelet.faults.injection import Target
from cka_kubelet.providers.base import Cluster


def target_of(cluster: Cluster) -> Target:
    """The cluster's id, shells and control plane."""
    control_plane = next(name for name, node in cluster.nodes.items() if node.role == "control-plane")
    return Target(cluster.id, cluster.shell, control_plane)

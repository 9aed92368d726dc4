"""A cluster as injections see it."""

from cka_kubelet.faults.injection import Target
from cka_kubelet.providers.base import Cluster
from cka_kubelet.remote.kubeapi import KubeAPI, SSHKubeAPI


def target_of(cluster: Cluster, api: KubeAPI | None = None) -> Target:
    """The cluster's id, shells, control plane and API server. `api`: instead of asking through the control plane."""
    control_plane = next(name for name, node in cluster.nodes.items() if node.role == "control-plane")
    return Target(cluster.id, cluster.shell, control_plane, api or SSHKubeAPI(cluster.shell(control_plane)))

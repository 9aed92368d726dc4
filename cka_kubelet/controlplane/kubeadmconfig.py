"""What `kubeadm init` leaves in a cluster so that nodes can join: three ConfigMaps and who may read them.

Source: kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details.
"""

import base64
from pathlib import Path
from typing import Any

from cka_kubelet.controlplane.bootstrap import ensure
from cka_kubelet.controlplane.kinds import kind
from cka_kubelet.controlplane.registry import Registry

Object = dict[str, Any]

KUBELET_CONFIG = Path("/var/lib/kubelet/config.yaml")
_RBAC = "rbac.authorization.k8s.io"
_JOINING = [("Group", "system:bootstrappers:kubeadm:default-node-token"), ("Group", "system:nodes")]
_CLUSTER_CONFIGURATION = """\
apiServer: {{}}
apiVersion: kubeadm.k8s.io/v1beta4
caCertificateValidityPeriod: 87600h0m0s
certificateValidityPeriod: 8760h0m0s
certificatesDir: /etc/kubernetes/pki
clusterName: kubernetes
controllerManager: {{}}
dns: {{}}
encryptionAlgorithm: RSA-2048
imageRepository: registry.k8s.io
kind: ClusterConfiguration
kubernetesVersion: v1.36.2
networking:
  dnsDomain: cluster.local
  podSubnet: {pods}
  serviceSubnet: {services}
proxy: {{}}
scheduler: {{}}
"""
_CLUSTER_INFO = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {ca}
    server: {server}
  name: ""
contexts: null
current-context: ""
kind: Config
users: null
"""


async def populate(registry: Registry, server: str, ca_file: Path, pods: str, services: str) -> None:
    """Create what is missing. `server`: the API server's URL; `pods`, `services`: CIDRs."""
    cluster = _CLUSTER_CONFIGURATION.format(pods=pods, services=services)
    await _shared(
        registry, "kube-system", "kubeadm-config", {"ClusterConfiguration": cluster}, "nodes-kubeadm-config", _JOINING
    )
    info = _cluster_info(server, ca_file)
    anonymous = [("User", "system:anonymous")]
    await _shared(
        registry, "kube-public", "cluster-info", {"kubeconfig": info}, "bootstrap-signer-clusterinfo", anonymous
    )
    config = _kubelet_config()
    if config:
        await _shared(registry, "kube-system", "kubelet-config", config, "kubelet-config", _JOINING)


def _cluster_info(server: str, ca_file: Path) -> str:
    return _CLUSTER_INFO.format(ca=base64.b64encode(ca_file.read_bytes()).decode(), server=server)


def _kubelet_config() -> dict[str, str]:
    return {"kubelet": KUBELET_CONFIG.read_text()} if KUBELET_CONFIG.exists() else {}


async def _shared(
    registry: Registry, namespace: str, name: str, data: dict[str, str], role: str, readers: list[tuple[str, str]]
) -> None:
    """A ConfigMap, and a role `kubeadm:<role>` that lets `readers` (kind, name) get it."""
    await ensure(registry, kind("configmaps"), namespace, {"metadata": {"name": name}, "data": data})
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name]}
    metadata = {"name": f"kubeadm:{role}"}
    await ensure(registry, kind(f"roles.{_RBAC}"), namespace, {"metadata": metadata, "rules": [rule]})
    subjects = [{"apiGroup": _RBAC, "kind": which, "name": who} for which, who in readers]
    reference = {"apiGroup": _RBAC, "kind": "Role", "name": f"kubeadm:{role}"}
    binding = {"metadata": metadata, "roleRef": reference, "subjects": subjects}
    await ensure(registry, kind(f"rolebindings.{_RBAC}"), namespace, binding)

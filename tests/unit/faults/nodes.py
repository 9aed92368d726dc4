"""A node as kubeadm leaves it, made of files below a directory."""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cka_kubelet.kube import staticpods
from cka_kubelet.remote import nodestate
from cka_kubelet.remote.fake import FakeShell

CLUSTER = "c1"
ROOTS = ("/etc", "/opt", "/var", "/root", "/usr/lib/systemd", "/usr/bin")


@cache
def certificate_authority() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def make_node(root: Path, name: str) -> FakeShell:
    root.mkdir(parents=True)
    shell = FakeShell(root, name)
    shell.set_units(
        {"kubelet.service": "active", "containerd.service": "active"}, ["kubelet.service", "containerd.service"]
    )
    certificate, key = certificate_authority()
    shell.put("/etc/cka-lab/node.json", json.dumps({"cluster": CLUSTER, "node": name}).encode())
    shell.put("/etc/machine-id", b"0" * 31 + str(len(name) % 10).encode() + b"\n")
    shell.put("/etc/kubernetes/pki/ca.crt", certificate)
    shell.put("/etc/kubernetes/pki/ca.key", key, 0o600)
    shell.put(
        "/etc/kubernetes/kubelet.conf",
        b"clusters:\n- cluster:\n    certificate-authority-data: AAAA\n    server: https://10.99.1.2:6443\n"
        b"contexts:\n- context:\n    cluster: default-cluster\n    user: default-auth\n"
        b"current-context: default-context\n",
        0o600,
    )
    shell.put(
        "/var/lib/kubelet/config.yaml",
        b"apiVersion: kubelet.config.k8s.io/v1beta1\n"
        b"authentication:\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\n"
        b"authorization:\n  mode: Webhook\n  webhook:\n    cacheAuthorizedTTL: 0s\n"
        b"cgroupDriver: systemd\nclusterDomain: cluster.local\n"
        b"staticPodPath: /etc/kubernetes/manifests\n"
        b"containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n",
    )
    shell.put("/usr/bin/kubelet", b"ELF", 0o755)
    (root / "usr/local/sbin").mkdir(parents=True)
    (root / "usr/local/share").mkdir()
    (root / "etc/default").mkdir()
    (root / "root").mkdir(exist_ok=True)
    drop_in = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
    shell.put(drop_in, b"[Service]\nExecStart=\nExecStart=/usr/bin/kubelet $KUBELET_CONFIG_ARGS\n")
    shell.put("/var/lib/kubelet/kubeadm-flags.env", b'KUBELET_KUBEADM_ARGS=""\n')
    shell.put("/var/lib/kubelet/pki/kubelet-client-2026-11-01-00-00-00.pem", b"good", 0o600)
    (root / "var/lib/kubelet/pki/kubelet-client-current.pem").symlink_to(
        "/var/lib/kubelet/pki/kubelet-client-2026-11-01-00-00-00.pem"
    )
    plugins = b'"plugins": [{"type": "bridge", "ipam": {"type": "host-local"}}, {"type": "portmap"}]'
    network = b'{\n  "cniVersion": "1.0.0",\n  "name": "bridge",\n  ' + plugins + b"\n}\n"
    shell.put("/etc/cni/net.d/10-bridge.conflist", network)
    for plugin in ("bridge", "host-local", "portmap"):
        shell.put(f"/opt/cni/bin/{plugin}", b"ELF", 0o755)
    shell.put("/etc/crictl.yaml", b"runtime-endpoint: unix:///run/containerd/containerd.sock\ntimeout: 10\n")
    containerd = b'version = 2\nsandbox_image = "registry.k8s.io/pause:3.10.1"\n  SystemdCgroup = true\n'
    shell.put("/etc/containerd/config.toml", containerd)
    for component in staticpods.COMPONENTS:
        text = staticpods.manifest(component, staticpods.Cluster(name, "10.99.1.2"))
        shell.put(staticpods.path_of(component), text.encode(), 0o600)
    (root / "var/backups").mkdir()
    return shell


def picture(shell: FakeShell) -> tuple[dict[str, str], dict[str, str]]:
    """Every path with mode, owner and hash, and every unit's state; one that was never there is as one that is off."""
    units = {unit: state for unit, state in shell.units().items() if state != "inactive"}
    return nodestate.manifest(shell, ROOTS), units

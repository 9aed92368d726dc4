"""`kubeadm join` for a worker: believe the cluster, write the kubelet's files, start it, wait for its identity.

Source: kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-join. The CA is believed for its pinned hash, or, where
that check is skipped, for being asked with the token alone; cluster-info's signature by the token is not looked at.
"""

import base64
import http.client
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cka_kubelet.kubeadm.api import API
from cka_kubelet.kubeadm.errors import Failure
from cka_kubelet.kubeadm.kubeconfigs import embedded, write_private
from cka_kubelet.kubeadm.x509 import public_key_hash

ETC = Path("/etc/kubernetes")
KUBELET = Path("/var/lib/kubelet")
HEALTHZ_SECONDS, BOOTSTRAP_SECONDS = 240.0, 300.0
_CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps/{}"
_INSTANCE = """\
apiVersion: kubelet.config.k8s.io/v1beta1
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
kind: KubeletConfiguration
"""
_JOINED = """
This node has joined the cluster:
* Certificate signing request was sent to apiserver and a response was received.
* The Kubelet was informed of the new secure connection details.

Run 'kubectl get nodes' on the control-plane to see this node join the cluster.
"""


class Request(NamedTuple):
    """What the command line asked for. `server`: host:port; `ignore`: preflight checks, comma separated, or `all`."""

    server: str
    token: str
    ca_hash: str
    skip_ca: bool
    ignore: str


def join(request: Request, say: Callable[[str], None]) -> None:
    """Raises Failure in upstream's words."""
    say("[preflight] Running pre-flight checks")
    _preflight(request.ignore, say)
    ca = discover(request)
    api = API.of_token(request.server, request.token, ca)
    say('[preflight] Reading configuration from the "kubeadm-config" ConfigMap in namespace "kube-system"...')
    say("[preflight] Use 'kubeadm init phase upload-config kubeadm --config your-config-file' to re-upload it.")
    _config_map(api, "kubeadm-config")
    config = _config_map(api, "kubelet-config")["data"]["kubelet"]
    (ETC / "pki").mkdir(parents=True, exist_ok=True)
    (ETC / "manifests").mkdir(exist_ok=True)
    KUBELET.mkdir(exist_ok=True)
    (ETC / "pki/ca.crt").write_bytes(ca)
    write_private(ETC / "bootstrap-kubelet.conf", bootstrap_kubeconfig(request, ca))
    say(f'[kubelet-start] Writing kubelet configuration to file "{KUBELET}/instance-config.yaml"')
    (KUBELET / "instance-config.yaml").write_text(_INSTANCE)
    say('[patches] Applied patch of type "application/strategic-merge-patch+json" to target "kubeletconfiguration"')
    say(f'[kubelet-start] Writing kubelet configuration to file "{KUBELET}/config.yaml"')
    (KUBELET / "config.yaml").write_text(config)
    say(f'[kubelet-start] Writing kubelet environment file with flags to file "{KUBELET}/kubeadm-flags.env"')
    (KUBELET / "kubeadm-flags.env").write_text('KUBELET_KUBEADM_ARGS=""\n')
    say("[kubelet-start] Starting the kubelet")
    subprocess.run(["systemctl", "daemon-reload"], check=False, capture_output=True)
    subprocess.run(["systemctl", "restart", "kubelet"], check=False, capture_output=True)
    say("[kubelet-check] Waiting for a healthy kubelet at http://127.0.0.1:10248/healthz. This can take up to 4m0s")
    began = time.monotonic()
    if not _wait(_healthy, HEALTHZ_SECONDS):
        raise Failure(
            "error execution phase kubelet-wait-bootstrap: failed while waiting for the kubelet to start: "
            "The HTTP call equal to 'curl -sSL http://127.0.0.1:10248/healthz' returned error"
        )
    say(f"[kubelet-check] The kubelet is healthy after {time.monotonic() - began:.3f}s")
    say("[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap")
    if not _wait((ETC / "kubelet.conf").exists, BOOTSTRAP_SECONDS):
        raise Failure("error execution phase kubelet-wait-bootstrap: timed out waiting for the condition")
    (ETC / "bootstrap-kubelet.conf").unlink(missing_ok=True)
    say(_JOINED)


def _preflight(ignore: str, say: Callable[[str], None]) -> None:
    ignored = {name.strip().lower() for name in ignore.split(",")}
    problems = []
    for path in (ETC / "kubelet.conf", ETC / "bootstrap-kubelet.conf", ETC / "pki/ca.crt"):
        if path.exists():
            problems.append((f"FileAvailable-{str(path).replace('/', '-')}", f"{path} already exists"))
    if (ETC / "manifests").is_dir() and any((ETC / "manifests").iterdir()):
        problems.append(("DirAvailable--etc-kubernetes-manifests", "/etc/kubernetes/manifests is not empty"))
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 10250)) == 0:
            problems.append(("Port-10250", "Port 10250 is in use"))
    if not Path("/run/containerd/containerd.sock").is_socket():
        problems.append(("CRI", "container runtime is not running: unix:///run/containerd/containerd.sock"))
    enabled = subprocess.run(["systemctl", "is-enabled", "kubelet"], check=False, capture_output=True, text=True)
    if enabled.stdout.strip() != "enabled":
        say(
            "\t[WARNING Service-Kubelet]: kubelet service is not enabled, please run 'systemctl enable kubelet.service'"
        )
    fatal = [(name, text) for name, text in problems if not {name.lower(), "all"} & ignored]
    if fatal:
        lines = "".join(f"\t[ERROR {name}]: {text}\n" for name, text in fatal)
        raise Failure(
            f"error execution phase preflight: [preflight] Some fatal errors occurred:\n{lines}[preflight] If you know "
            "what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`"
        )


def discover(request: Request) -> bytes:
    """The cluster's CA (PEM), believed for its pinned hash. Raises Failure."""
    prefix = "error execution phase preflight: couldn't validate the identity of the API Server: "
    if not request.token:
        raise Failure('discovery.bootstrapToken: Invalid value: "": using token-based discovery without a token')
    if not request.ca_hash and not request.skip_ca:
        raise Failure(
            'discovery.bootstrapToken.caCertHashes: Invalid value: "": using token-based discovery without '
            "caCertHashes can be unsafe. Set unsafeSkipCAVerification as true in your kubeadm config file or pass "
            "--discovery-token-unsafe-skip-ca-verification flag to continue"
        )
    try:
        path = _CONFIG_MAPS.format("kube-public", "cluster-info")
        info = API.of_token(request.server, "", b"").call("GET", path)
    except Failure as error:
        raise Failure(f"{prefix}failed to request the cluster-info ConfigMap: {error}") from error
    ca = embedded(str((info.get("data") or {}).get("kubeconfig", "")), "certificate-authority-data")
    if ca is None:
        raise Failure(f"{prefix}there is no CA in the cluster-info ConfigMap")
    found = public_key_hash(ca)
    if not request.skip_ca and found != request.ca_hash.lower():
        raise Failure(
            f"{prefix}cluster CA found in cluster-info ConfigMap is invalid: none of the public keys "
            f'"{found}" are pinned'
        )
    return ca


def bootstrap_kubeconfig(request: Request, ca: bytes) -> str:
    """/etc/kubernetes/bootstrap-kubelet.conf."""
    return (
        "apiVersion: v1\nclusters:\n- cluster:\n"
        f"    certificate-authority-data: {base64.b64encode(ca).decode()}\n    server: https://{request.server}\n"
        "  name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: tls-bootstrap-token-user\n"
        "  name: tls-bootstrap-token-user@kubernetes\ncurrent-context: tls-bootstrap-token-user@kubernetes\n"
        f"kind: Config\nusers:\n- name: tls-bootstrap-token-user\n  user:\n    token: {request.token}\n"
    )


def _config_map(api: API, name: str) -> Mapping[str, Any]:
    try:
        return api.call("GET", _CONFIG_MAPS.format("kube-system", name))
    except Failure as error:
        raise Failure(
            "error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: "
            f"failed to get config map: {error}"
        ) from error


def _healthy() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", 10248, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
    return True

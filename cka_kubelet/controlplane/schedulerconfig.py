"""kube-scheduler's --config file: what of it matters here, with upstream's errors for files that cannot be used."""

from pathlib import Path

from cka_kubelet.controlplane.command import StartError
from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.kube import goyaml
from cka_kubelet.kube.gofmt import path_error, quote
from cka_kubelet.kube.kubeconfig import KubeconfigError, as_document

_VERSION = "kubescheduler.config.k8s.io/v1"
_KIND = "KubeSchedulerConfiguration"


def apply(settings: Settings, path: str) -> None:
    """Take the file's kubeconfig and leader election; the flags of the latter go before. Raises StartError."""
    try:
        document = goyaml.load(Path(path).read_bytes())[0]
    except OSError as error:
        raise StartError(path_error("open", path, error)) from error
    except goyaml.YAMLError as error:
        raise StartError(f"couldn't get version/kind; json parse error: {error}") from error
    try:
        found = as_document(document)
    except KubeconfigError as error:
        raise StartError(str(error)) from error
    version, kind = str(found.get("apiVersion") or ""), str(found.get("kind") or "")
    if not kind:
        raise StartError(f"Object 'Kind' is missing in '{Path(path).read_text()}'")
    if (version, kind) != (_VERSION, _KIND):
        raise StartError(f'no kind {quote(kind)} is registered for version {quote(version)} in scheme "{_SCHEME}"')
    settings.default("kubeconfig", str((found.get("clientConnection") or {}).get("kubeconfig") or ""), over=True)
    for key, value in (found.get("leaderElection") or {}).items():
        flag = _ELECTION.get(key)
        if flag:
            settings.default(flag, str(value).lower() if isinstance(value, bool) else str(value))


_SCHEME = "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme/scheme.go:30"
_ELECTION = {
    "leaderElect": "leader-elect",
    "leaseDuration": "leader-elect-lease-duration",
    "renewDeadline": "leader-elect-renew-deadline",
    "retryPeriod": "leader-elect-retry-period",
    "resourceLock": "leader-elect-resource-lock",
    "resourceName": "leader-elect-resource-name",
    "resourceNamespace": "leader-elect-resource-namespace",
}

"""The health checks of the API server, named and ordered as kube-apiserver's are."""

from cka_kubelet.controlplane.health import Check, Checks, passes
from cka_kubelet.controlplane.store import Store

_HOOKS = """
start-apiserver-admission-initializer generic-apiserver-start-informers priority-and-fairness-config-consumer
priority-and-fairness-filter storage-object-count-tracker-hook start-apiextensions-informers
start-apiextensions-controllers crd-informer-synced start-system-namespaces-controller
start-cluster-authentication-info-controller start-kube-apiserver-identity-lease-controller
start-kube-apiserver-identity-lease-garbage-collector start-legacy-token-tracking-controller
start-service-ip-repair-controllers rbac/bootstrap-roles scheduling/bootstrap-system-priority-classes
priority-and-fairness-config-producer bootstrap-controller start-kubernetes-service-cidr-controller
aggregator-reload-proxy-client-cert start-kube-aggregator-informers apiservice-status-local-available-controller
apiservice-status-remote-available-controller apiservice-registration-controller apiservice-discovery-controller
kube-apiserver-autoregistration
"""
_LAST_HOOKS = "apiservice-openapi-controller apiservice-openapiv3-controller"
ROOTS = ("/healthz", "/livez", "/readyz")


def _hooks(names: str) -> dict[str, Check]:
    """What has to run once after the start; here all is done before anybody is answered."""
    return {f"poststarthook/{name}": passes for name in names.split()}


def checks(store: Store) -> dict[str, Checks]:
    """By root, the checks and what they ask."""
    hooks = {**_hooks(_HOOKS), "autoregister-completion": passes, **_hooks(_LAST_HOOKS)}
    storage: dict[str, Check] = {"etcd": store.check}
    first: dict[str, Check] = {"ping": passes, "log": passes}
    ready = {**first, **storage, "etcd-readiness": store.check, "informer-sync": passes, **hooks, "shutdown": passes}
    live = {**first, "loopback-serving-certificate": passes, **storage, **hooks}
    return {"/healthz": {**first, **storage, **hooks}, "/livez": live, "/readyz": ready}

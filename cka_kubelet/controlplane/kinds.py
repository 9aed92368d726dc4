"""The kinds that this API server knows, as data. One line each; everything generic follows from it.

The order is the order of discovery, which is the order in which kubectl resolves ambiguous names.
"""

from typing import NamedTuple

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Kind(NamedTuple):
    """One kind. `storage` differs from `resource` where two groups share objects (events)."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    short: tuple[str, ...]
    categories: tuple[str, ...]
    subresources: tuple[str, ...]
    generation: bool
    verbs: tuple[str, ...]
    storage: str

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`pods`, `deployments.apps`: as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_kind(self) -> str:
        """`PodList`."""
        return self.kind + "List"

    @property
    def singular(self) -> str:
        """`pod`."""
        return self.kind.lower()

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection or of one object."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if self.namespaced and namespace:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


# group/version | Kind plural | N(amespaced) G(eneration) V(irtual: create only) | short | categories | subresources
_TABLE = """
v1                        | Binding bindings                                  | NV | | |
v1                        | ConfigMap configmaps                              | N  | cm | |
v1                        | Endpoints endpoints                               | N  | ep | |
v1                        | Event events                                      | N  | ev | |
v1                        | LimitRange limitranges                            | N  | limits | |
v1                        | Namespace namespaces                              |    | ns | | finalize status
v1                        | Node nodes                                        |    | no | | proxy status
v1                        | PersistentVolumeClaim persistentvolumeclaims      | N  | pvc | | status
v1                        | PersistentVolume persistentvolumes                |    | pv | | status
v1                        | Pod pods                                          | NG | po | all | \
attach binding ephemeralcontainers eviction exec log portforward proxy resize status
v1                        | PodTemplate podtemplates                          | N  | | |
v1                        | ReplicationController replicationcontrollers      | NG | rc | all | scale status
v1                        | ResourceQuota resourcequotas                      | N  | quota | | status
v1                        | Secret secrets                                    | N  | | |
v1                        | ServiceAccount serviceaccounts                    | N  | sa | | token
v1                        | Service services                                  | N  | svc | all | proxy status
events.k8s.io/v1          | Event events                                      | N  | ev | |
authentication.k8s.io/v1  | SelfSubjectReview selfsubjectreviews              | V  | | |
authentication.k8s.io/v1  | TokenReview tokenreviews                          | V  | | |
authorization.k8s.io/v1   | LocalSubjectAccessReview localsubjectaccessreviews | NV | | |
authorization.k8s.io/v1   | SelfSubjectAccessReview selfsubjectaccessreviews  | V  | | |
authorization.k8s.io/v1   | SelfSubjectRulesReview selfsubjectrulesreviews    | V  | | |
authorization.k8s.io/v1   | SubjectAccessReview subjectaccessreviews          | V  | | |
autoscaling/v2            | HorizontalPodAutoscaler horizontalpodautoscalers  | N  | hpa | all | status
apps/v1                   | ControllerRevision controllerrevisions            | N  | | |
apps/v1                   | DaemonSet daemonsets                              | NG | ds | all | status
apps/v1                   | Deployment deployments                            | NG | deploy | all | scale status
apps/v1                   | ReplicaSet replicasets                            | NG | rs | all | scale status
apps/v1                   | StatefulSet statefulsets                          | NG | sts | all | scale status
batch/v1                  | CronJob cronjobs                                  | NG | cj | all | status
batch/v1                  | Job jobs                                          | NG | | all | status
certificates.k8s.io/v1    | CertificateSigningRequest certificatesigningrequests | | csr | | approval status
networking.k8s.io/v1      | IngressClass ingressclasses                       |    | | |
networking.k8s.io/v1      | Ingress ingresses                                 | NG | ing | | status
networking.k8s.io/v1      | NetworkPolicy networkpolicies                     | NG | netpol | |
policy/v1                 | PodDisruptionBudget poddisruptionbudgets          | NG | pdb | | status
rbac.authorization.k8s.io/v1 | ClusterRoleBinding clusterrolebindings         |    | | |
rbac.authorization.k8s.io/v1 | ClusterRole clusterroles                       |    | | |
rbac.authorization.k8s.io/v1 | RoleBinding rolebindings                       | N  | | |
rbac.authorization.k8s.io/v1 | Role roles                                     | N  | | |
storage.k8s.io/v1         | CSIDriver csidrivers                              |    | | |
storage.k8s.io/v1         | CSINode csinodes                                  |    | | |
storage.k8s.io/v1         | StorageClass storageclasses                       |    | sc | |
storage.k8s.io/v1         | VolumeAttachment volumeattachments                |    | | | status
scheduling.k8s.io/v1      | PriorityClass priorityclasses                     |    | pc | |
coordination.k8s.io/v1    | Lease leases                                      | N  | | |
node.k8s.io/v1            | RuntimeClass runtimeclasses                       |    | | |
discovery.k8s.io/v1       | EndpointSlice endpointslices                      | N  | | |
"""


def _parse(line: str) -> Kind:
    api_version, names, flags, short, categories, subresources = (part.strip() for part in line.split("|"))
    group, _, version = api_version.rpartition("/")
    kind, plural = names.split()
    return Kind(
        group,
        version,
        kind,
        plural,
        "N" in flags,
        tuple(short.split()),
        tuple(categories.split()),
        tuple(subresources.split()),
        "G" in flags,
        ("create",) if "V" in flags else VERBS,
        "events" if plural == "events" else (f"{plural}.{group}" if group else plural),
    )


KINDS: tuple[Kind, ...] = tuple(_parse(line) for line in _TABLE.strip().splitlines())
METRICS: tuple[Kind, ...] = tuple(
    _parse(line)._replace(verbs=("get", "list"))
    for line in (
        "metrics.k8s.io/v1beta1 | NodeMetrics nodes | | | |",
        "metrics.k8s.io/v1beta1 | PodMetrics pods | N | | |",
    )
)
"""Measured, not stored: served by resourcemetrics."""
BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
BY_RESOURCE = {kind.resource: kind for kind in KINDS}


def kind(resource: str) -> Kind:
    """The kind behind `pods` or `leases.coordination.k8s.io`. Raises KeyError."""
    return BY_RESOURCE[resource]


def group_versions() -> list[str]:
    """`v1`, `events.k8s.io/v1`, … in discovery order."""
    return list(dict.fromkeys(each.api_version for each in KINDS))

"""Who the parts of the control plane are to RBAC: roles of the scheduler, the controller manager and each controller.

Source: `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`. A line below `[role]` is a rule: verbs, API groups, resources
and, where it holds for those only, names. `core` is the group without a name, `events` the rule that most have.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

Object = dict[str, Any]
Rules = list[Object]

_READ = "get,list,watch"
_CLUSTER_ROLES = f"""
[system:kube-controller-manager]
events
create coordination.k8s.io leases
get,update coordination.k8s.io leases kube-controller-manager
create core secrets,serviceaccounts
delete core secrets
get core configmaps,namespaces,secrets,serviceaccounts
update core secrets,serviceaccounts
create authentication.k8s.io tokenreviews
create authorization.k8s.io subjectaccessreviews
list,watch * *
create core serviceaccounts/token
[system:kube-scheduler]
events
create coordination.k8s.io leases
get,update coordination.k8s.io leases kube-scheduler
{_READ} core nodes
delete,{_READ} core pods
create core bindings,pods/binding
patch,update core pods/status
{_READ} core replicationcontrollers,services
{_READ} apps,extensions replicasets
{_READ} apps statefulsets
{_READ} policy poddisruptionbudgets
{_READ} core persistentvolumeclaims,persistentvolumes
create authentication.k8s.io tokenreviews
create authorization.k8s.io subjectaccessreviews
{_READ} storage.k8s.io csinodes
{_READ} core namespaces
{_READ} storage.k8s.io csidrivers
{_READ} storage.k8s.io csistoragecapacities
[system:volume-scheduler]
{_READ},patch,update core persistentvolumes
{_READ} storage.k8s.io storageclasses
{_READ},patch,update core persistentvolumeclaims
[system:auth-delegator]
create authentication.k8s.io tokenreviews
create authorization.k8s.io subjectaccessreviews
[system:node-proxier]
list,watch core services
{_READ} core nodes
events
list,watch discovery.k8s.io endpointslices
list,watch networking.k8s.io servicecidrs
[system:controller:attachdetach-controller]
list,watch core persistentvolumes,persistentvolumeclaims
{_READ} core nodes
patch,update core nodes/status
list,watch core pods
events
get,create,delete,list,watch storage.k8s.io volumeattachments
{_READ} storage.k8s.io csidrivers
{_READ} storage.k8s.io csinodes
[system:controller:clusterrole-aggregation-controller]
escalate,{_READ},patch,update rbac.authorization.k8s.io clusterroles
[system:controller:cronjob-controller]
{_READ},update batch cronjobs
create,delete,{_READ},patch,update batch jobs
update batch cronjobs/status
update batch cronjobs/finalizers
delete,list,watch core pods
events
[system:controller:daemon-set-controller]
{_READ} apps,extensions daemonsets
update apps,extensions daemonsets/status
update apps,extensions daemonsets/finalizers
list,watch core nodes
create,delete,list,patch,watch core pods
create core pods/binding
create,delete,{_READ},patch,update apps controllerrevisions
events
[system:controller:deployment-controller]
{_READ},update apps,extensions deployments
update apps,extensions deployments/status
update apps,extensions deployments/finalizers
create,delete,{_READ},patch,update apps,extensions replicasets
{_READ},update core pods
events
[system:controller:disruption-controller]
{_READ} apps,extensions deployments
{_READ} apps,extensions replicasets
{_READ} core replicationcontrollers
{_READ} policy poddisruptionbudgets
{_READ} apps statefulsets
update policy poddisruptionbudgets/status
patch,update core pods/status
get * */scale
events
[system:controller:endpoint-controller]
{_READ} core pods,services
create,delete,{_READ},update core endpoints
create core endpoints/restricted
events
[system:controller:endpointslice-controller]
{_READ} core nodes,pods,services
update core services/finalizers
create,delete,{_READ},update discovery.k8s.io endpointslices
events
[system:controller:ephemeral-volume-controller]
{_READ} core pods
update core pods/finalizers
create,{_READ} core persistentvolumeclaims
events
[system:controller:generic-garbage-collector]
delete,{_READ},patch,update * *
events
[system:controller:job-controller]
{_READ},patch,update batch jobs
update batch jobs/status
update batch jobs/finalizers
create,delete,list,patch,watch core pods
events
[system:controller:namespace-controller]
delete,{_READ} core namespaces
update core namespaces/finalize,namespaces/status
delete,deletecollection,{_READ} * *
[system:controller:node-controller]
delete,{_READ},patch,update core nodes
patch,update core nodes/status
patch,update core pods/status
delete,{_READ} core pods
events
[system:controller:persistent-volume-binder]
create,delete,{_READ},update core persistentvolumes
update core persistentvolumes/status
{_READ},update core persistentvolumeclaims
update core persistentvolumeclaims/status
create,delete,{_READ} core pods
{_READ} storage.k8s.io storageclasses
list,watch core nodes
events
watch core events
get core services
[system:controller:pod-garbage-collector]
delete,list,watch core pods
{_READ} core nodes
patch core pods/status
[system:controller:replicaset-controller]
{_READ},update apps,extensions replicasets
update apps,extensions replicasets/status
update apps,extensions replicasets/finalizers
create,delete,list,patch,watch core pods
events
[system:controller:root-ca-cert-publisher]
create,update core configmaps
events
[system:controller:service-account-controller]
create core serviceaccounts
events
[system:controller:statefulset-controller]
list,watch core pods
{_READ} apps statefulsets
update apps statefulsets/status
update apps statefulsets/finalizers
create,delete,get,patch,update core pods
create,delete,{_READ},patch,update apps controllerrevisions
create,{_READ} core persistentvolumeclaims
delete,update core persistentvolumeclaims
update core pods/finalizers
events
[system:controller:ttl-after-finished-controller]
delete,{_READ} batch jobs
events
[system:controller:ttl-controller]
list,patch,update,watch core nodes
events
[system:controller:certificate-controller]
delete,{_READ} certificates.k8s.io certificatesigningrequests
update certificates.k8s.io certificatesigningrequests/approval,certificatesigningrequests/status
approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet
sign certificates.k8s.io signers kubernetes.io/kube-apiserver-client,kubernetes.io/kube-apiserver-client-kubelet,\
kubernetes.io/kubelet-serving,kubernetes.io/legacy-unknown
create authorization.k8s.io subjectaccessreviews
events
[system:controller:pv-protection-controller]
{_READ},update core persistentvolumes
events
[system:controller:pvc-protection-controller]
{_READ},update core persistentvolumeclaims
{_READ} core pods
events
"""
_ROLES = f"""
[extension-apiserver-authentication-reader]
{_READ} core configmaps extension-apiserver-authentication
[system::leader-locking-kube-controller-manager]
watch core configmaps
get,update core configmaps kube-controller-manager
[system::leader-locking-kube-scheduler]
watch core configmaps
get,update core configmaps kube-scheduler
[system:controller:bootstrap-signer]
{_READ} core secrets
[system:controller:token-cleaner]
delete,{_READ} core secrets
events
"""
"""Below kube-system."""
_PUBLIC_ROLES = f"""
[system:controller:bootstrap-signer]
{_READ} core configmaps
get,update,watch core configmaps cluster-info
events
"""
"""Below kube-public."""
_MANAGER, _SCHEDULER = "system:kube-controller-manager", "system:kube-scheduler"
_CONTROLLER = "system:controller:"


class Subject(NamedTuple):
    """Of a binding. `namespace` is "" unless `kind` is ServiceAccount."""

    kind: str
    name: str
    namespace: str = ""

    def object(self) -> Object:
        """As RBAC writes it."""
        if self.kind == "ServiceAccount":
            return {"kind": self.kind, "name": self.name, "namespace": self.namespace}
        return {"kind": self.kind, "apiGroup": "rbac.authorization.k8s.io", "name": self.name}


def _rule(line: str) -> Object:
    if line == "events":
        line = "create,patch,update core,events.k8s.io events"
    verbs, groups, resources, *names = line.split()
    rule: Object = {
        "verbs": verbs.split(","),
        "apiGroups": ["" if group == "core" else group for group in groups.split(",")],
        "resources": resources.split(","),
    }
    return {**rule, "resourceNames": names[0].split(",")} if names else rule


def _parse(table: str) -> Iterator[tuple[str, Rules]]:
    name, rules = "", Rules()
    for line in filter(None, table.splitlines()):
        if line.startswith("["):
            if name:
                yield name, rules
            name, rules = line.strip("[]"), []
        else:
            rules.append(_rule(line))
    yield name, rules


def cluster_roles() -> Iterator[tuple[str, Rules]]:
    """Names and rules of the cluster roles."""
    return _parse(_CLUSTER_ROLES)


def roles() -> Iterator[tuple[str, str, Rules]]:
    """Namespaces, names and rules of the roles."""
    for namespace, table in (("kube-system", _ROLES), ("kube-public", _PUBLIC_ROLES)):
        for name, rules in _parse(table):
            yield namespace, name, rules


def cluster_bindings() -> Iterator[tuple[str, str, list[Subject]]]:
    """Name, cluster role and subjects of the cluster role bindings."""
    yield _MANAGER, _MANAGER, [Subject("User", _MANAGER)]
    yield _SCHEDULER, _SCHEDULER, [Subject("User", _SCHEDULER)]
    yield "system:volume-scheduler", "system:volume-scheduler", [Subject("User", _SCHEDULER)]
    yield "system:node-proxier", "system:node-proxier", [Subject("User", "system:kube-proxy")]
    for name, _ in cluster_roles():
        if name.startswith(_CONTROLLER):
            yield name, name, [Subject("ServiceAccount", name.removeprefix(_CONTROLLER), "kube-system")]


def bindings() -> Iterator[tuple[str, str, str, list[Subject]]]:
    """Namespace, name, role and subjects of the role bindings."""
    for name, role, subjects in _system_bindings():
        yield "kube-system", name, role, subjects
    signer = f"{_CONTROLLER}bootstrap-signer"
    yield "kube-public", signer, signer, [Subject("ServiceAccount", "bootstrap-signer", "kube-system")]


def _system_bindings() -> Iterator[tuple[str, str, list[Subject]]]:
    both = [Subject("User", _MANAGER), Subject("User", _SCHEDULER)]
    yield "system::extension-apiserver-authentication-reader", "extension-apiserver-authentication-reader", both
    for user in (_MANAGER, _SCHEDULER):
        account = user.removeprefix("system:")
        subjects = [Subject("User", user), Subject("ServiceAccount", account, "kube-system")]
        yield f"system::leader-locking-{account}", f"system::leader-locking-{account}", subjects
    for account in ("bootstrap-signer", "token-cleaner"):
        name = f"{_CONTROLLER}{account}"
        yield name, name, [Subject("ServiceAccount", account, "kube-system")]

"""May they? The node authorizer first, then RBAC. A denial carries upstream's reason, if it has one."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from cka_kubelet.controlplane.admission import node_of
from cka_kubelet.controlplane.nodeauthz import node_decision
from cka_kubelet.controlplane.registry import User
from cka_kubelet.controlplane.store import Store
from cka_kubelet.kube import apistatus
from cka_kubelet.kube.apistatus import StatusError

Object = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"


class Attributes(NamedTuple):
    """What is asked for. `resource` is "" for a path that is no resource."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def full_resource(self) -> str:
        """`pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Decision(NamedTuple):
    """Whether it is allowed, and why (not)."""

    allowed: bool
    reason: str


class Authorizer:
    """Decides from the objects in the store, at the time of the question, by the modes of --authorization-mode."""

    def __init__(self, store: Store, modes: Sequence[str] = ("Node", "RBAC")) -> None:
        self._store = store
        self._modes = modes

    def check(self, user: User, attributes: Attributes) -> None:
        """Raise StatusError (403) with upstream's text when it is not allowed."""
        decision = self.decide(user, attributes)
        if not decision.allowed:
            raise forbidden(user, attributes, decision.reason)

    def decide(self, user: User, attributes: Attributes) -> Decision:
        """Allowed or not."""
        if "system:masters" in user.groups:
            return Decision(True, "")
        reasons = []
        for mode in self._modes:
            decision = self._ask(mode, user, attributes)
            if decision.allowed:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, "\n".join(reasons))

    def _ask(self, mode: str, user: User, attributes: Attributes) -> Decision:
        node = node_of(user)
        if mode == "Node" and node and attributes.resource:
            allowed, why_not = node_decision(self._store, node, attributes)
            return Decision(allowed, "" if allowed else why_not)
        if mode == "RBAC":
            for reason, rule in self.rules(user, attributes.namespace):
                if _rule_allows(rule, attributes):
                    return Decision(True, reason)
        if mode == "AlwaysDeny":
            return Decision(False, "Everything is forbidden.")
        return Decision(mode == "AlwaysAllow", "")

    def rules(self, user: User, namespace: str) -> Iterator[tuple[str, Object]]:
        """Every rule that holds for a user in a namespace, with the binding it comes from."""
        for binding in self._store.list(f"clusterrolebindings.{_RBAC}"):
            subject = _subject(binding.get("subjects") or (), user, "")
            if subject:
                yield from self._granted(binding, subject, "")
        if namespace:
            for binding in self._store.list(f"rolebindings.{_RBAC}", namespace):
                subject = _subject(binding.get("subjects") or (), user, namespace)
                if subject:
                    yield from self._granted(binding, subject, namespace)

    def _granted(self, binding: Object, subject: str, namespace: str) -> Iterator[tuple[str, Object]]:
        reference = binding.get("roleRef") or {}
        name, kind = reference.get("name", ""), reference.get("kind", "")
        if kind == "ClusterRole":
            role = self._store.get(f"clusterroles.{_RBAC}", "", name)
        else:
            role = self._store.get(f"roles.{_RBAC}", namespace, name)
        if role is None:
            return
        kind_of = "RoleBinding" if namespace else "ClusterRoleBinding"
        full = f"{binding['metadata']['name']}/{namespace}" if namespace else binding["metadata"]["name"]
        reason = f'RBAC: allowed by {kind_of} "{full}" of {kind} "{name}" to {subject}'
        for rule in self._aggregated(role):
            yield reason, rule

    def _aggregated(self, role: Object) -> list[Object]:
        return role.get("rules") or []


def _subject(subjects: Iterable[Object], user: User, namespace: str) -> str:
    for subject in subjects:
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind == "User" and name == user.name:
            return f'User "{name}"'
        if kind == "Group" and name in user.groups:
            return f'Group "{name}"'
        if kind == "ServiceAccount":
            where = subject.get("namespace") or namespace
            if user.name == f"system:serviceaccount:{where}:{name}":
                return f'ServiceAccount "{name}/{where}"'
    return ""


def _has(allowed: list[str], wanted: str) -> bool:
    return "*" in allowed or wanted in allowed


def _rule_allows(rule: Object, attributes: Attributes) -> bool:
    if not _has(rule.get("verbs") or [], attributes.verb):
        return False
    if not attributes.resource:
        return any(_path_matches(pattern, attributes.path) for pattern in rule.get("nonResourceURLs") or ())
    if not _has(rule.get("apiGroups") or [], attributes.group):
        return False
    resources = rule.get("resources") or []
    wanted = attributes.full_resource
    if not _has(resources, wanted) and not (attributes.subresource and f"*/{attributes.subresource}" in resources):
        return False
    names = rule.get("resourceNames") or []
    return not names or attributes.name in names


def _path_matches(pattern: str, path: str) -> bool:
    if pattern == "*" or pattern == path:
        return True
    return pattern.endswith("*") and path.startswith(pattern[:-1])


def forbidden(user: User, attributes: Attributes, reason: str) -> StatusError:
    """Upstream's 403 (`k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go`)."""
    tail = f": {reason}" if reason else ""
    if not attributes.resource:
        text = f'forbidden: User "{user.name}" cannot {attributes.verb} path "{attributes.path}"{tail}'
        return StatusError(403, "Forbidden", text, {})
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    what = f'cannot {attributes.verb} resource "{attributes.full_resource}" in API group "{attributes.group}" {where}'
    why = f'User "{user.name}" {what}{tail}'
    return apistatus.forbidden(attributes.resource, attributes.name, why, attributes.group)

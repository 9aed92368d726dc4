"""What a URL asks for (`k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`)."""

from typing import NamedTuple

from cka_kubelet.controlplane.authz import Attributes
from cka_kubelet.controlplane.kinds import BY_PATH, Kind
from cka_kubelet.kube import labels

Query = dict[str, list[str]]

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
_NAMESPACE_SUBRESOURCES = {"status", "finalize"}


class RequestInfo(NamedTuple):
    """A request taken apart. `kind` is None when the path is no known resource; `rest` follows a proxy subresource."""

    verb: str
    path: str
    is_resource: bool
    group: str = ""
    version: str = ""
    plural: str = ""
    kind: Kind | None = None
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""

    def attributes(self, query: Query) -> Attributes:
        """What the authorizer is asked."""
        if not self.is_resource:
            return Attributes(self.verb, self.path)
        fields: tuple[tuple[str, str], ...] = ()
        name = self.name
        if self.verb in ("list", "watch", "deletecollection"):
            fields = _fields(first(query, "fieldSelector"))
            name = next((value for path, value in fields if path == "metadata.name"), "")
        return Attributes(
            self.verb, self.path, self.group, self.version, self.plural, self.subresource, self.namespace, name, fields
        )


def first(query: Query, name: str, default: str = "") -> str:
    """A query parameter's first value."""
    return query.get(name, [default])[0]


def is_true(query: Query, name: str) -> bool:
    """A boolean query parameter, as Go's ParseBool reads it."""
    return first(query, name) in ("1", "t", "T", "true", "TRUE", "True")


def _fields(selector: str) -> tuple[tuple[str, str], ...]:
    try:
        return tuple((item.path, item.value) for item in labels.parse_fields(selector) if item.equal)
    except labels.SelectorError:
        return ()


def parse(method: str, path: str, query: Query) -> RequestInfo:
    """Take a request apart. Unknown resources are resources all the same: they are authorized, then not found."""
    parts = [part for part in path.split("/") if part]
    verb = method.lower()
    if parts[:1] == ["api"] and len(parts) >= 3:
        group, version, parts = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return RequestInfo(verb, path, False)
    verb = _VERBS.get(method, verb)
    if parts[0] == "watch":
        query["watch"] = ["true"]
        parts = parts[1:] or [""]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    plural, name = parts[0], parts[1] if len(parts) > 1 else ""
    subresource, rest = parts[2] if len(parts) > 2 else "", "/".join(parts[3:])
    if not name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    if verb in ("get", "list") and is_true(query, "watch") and not subresource:
        verb = "watch"
    kind = BY_PATH.get((group, version, plural))
    return RequestInfo(verb, path, True, group, version, plural, kind, namespace, name, subresource, rest)

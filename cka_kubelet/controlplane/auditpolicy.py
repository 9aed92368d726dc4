"""--audit-policy-file: which requests are recorded, and how much of them (k8s.io/apiserver/pkg/audit/policy)."""

from pathlib import Path
from typing import Any, NamedTuple

from cka_kubelet.controlplane.registry import User
from cka_kubelet.controlplane.requestinfo import RequestInfo
from cka_kubelet.kube import goyaml
from cka_kubelet.kube.gofmt import path_error, quote
from cka_kubelet.kube.kubeconfig import KubeconfigError, as_document

Object = dict[str, Any]

LEVELS = ("None", "Metadata", "Request", "RequestResponse")
_VERSION, _KIND = "audit.k8s.io/v1", "Policy"


class PolicyError(Exception):
    """The file cannot be used. str() is upstream's message."""


class Policy(NamedTuple):
    """Rules, of which the first that fits counts, and stages that are left out of all."""

    rules: list[Object]
    omit: tuple[str, ...]

    def level(self, user: User, info: RequestInfo) -> tuple[str, tuple[str, ...]]:
        """How much of a request is recorded, and the stages that are left out."""
        for rule in self.rules:
            if _fits(rule, user, info):
                return str(rule.get("level")), (*self.omit, *(rule.get("omitStages") or ()))
        return "None", ()


def load(path: str) -> Policy:
    """Read a policy. Raises PolicyError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise PolicyError(f"failed to read file path {quote(path)}: {path_error('open', path, error)}") from error
    try:
        document = as_document(goyaml.load(data)[0])
    except (goyaml.YAMLError, KubeconfigError) as error:
        raise PolicyError(f"failed decoding: {error}: from file {path}") from error
    problem = _problem(document, data)
    if problem:
        raise PolicyError(f"{problem}: from file {path}")
    return Policy(list(document["rules"]), tuple(document.get("omitStages") or ()))


def _problem(document: Object, data: bytes) -> str | None:
    version, kind = str(document.get("apiVersion") or ""), str(document.get("kind") or "")
    if not kind:
        return f"failed decoding: Object 'Kind' is missing in '{data.decode('utf-8', 'replace')}'"
    if (version, kind) != (_VERSION, _KIND):
        return f"failed decoding: no kind {quote(kind)} is registered for version {quote(version)} in scheme"
    rules = document.get("rules") or []
    for index, rule in enumerate(rules):
        level = rule.get("level") if isinstance(rule, dict) else None
        if not level:
            return f"rules[{index}].level: Required value"
        if level not in LEVELS:
            supported = ", ".join(quote(each) for each in sorted(LEVELS))
            return f"rules[{index}].level: Unsupported value: {quote(str(level))}: supported values: {supported}"
    return None if rules else "loaded illegal policy with 0 rules"


def _fits(rule: Object, user: User, info: RequestInfo) -> bool:
    if rule.get("users") and user.name not in rule["users"]:
        return False
    if rule.get("userGroups") and not set(rule["userGroups"]) & set(user.groups):
        return False
    if rule.get("verbs") and info.verb not in rule["verbs"]:
        return False
    if rule.get("namespaces") or rule.get("resources"):
        return info.is_resource and _fits_resource(rule, info)
    if rule.get("nonResourceURLs"):
        return not info.is_resource and any(_fits_path(pattern, info.path) for pattern in rule["nonResourceURLs"])
    return True


def _fits_path(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _fits_resource(rule: Object, info: RequestInfo) -> bool:
    if rule.get("namespaces") and info.namespace not in rule["namespaces"]:
        return False
    if not rule.get("resources"):
        return True
    full = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    patterns = {full, f"*/{info.subresource}" if info.subresource else "*", f"{info.plural}/*", "*"}
    for group in rule["resources"]:
        if str(group.get("group") or "") != info.group:
            continue
        resources, names = group.get("resources") or [], group.get("resourceNames") or []
        if (not resources or patterns & set(resources)) and (not names or info.name in names):
            return True
    return False

"""What this server serves, said in the ways that clients ask: legacy and aggregated discovery, version."""

from collections.abc import Iterable
from typing import Any

from cka_kubelet.controlplane.kinds import KINDS, METRICS, Kind

Object = dict[str, Any]

VERSION = "v1.36.2+cka"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# Subresources that are served as another kind, and their verbs.
_SUBRESOURCES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "attach": ("", "v1", "PodAttachOptions", ("create", "get")),
    "binding": ("", "v1", "Binding", ("create",)),
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "exec": ("", "v1", "PodExecOptions", ("create", "get")),
    "log": ("", "v1", "Pod", ("get",)),
    "portforward": ("", "v1", "PodPortForwardOptions", ("create", "get")),
    "proxy": ("", "v1", "NodeProxyOptions", ("create", "delete", "get", "patch", "update")),
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    "finalize": ("", "v1", "Namespace", ("update",)),
}
_DEFAULT_VERBS = ("get", "patch", "update")


def version() -> Object:
    """The answer of /version."""
    return {
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "cpython",
        "platform": "linux/amd64",
    }


def api_versions(address: str) -> Object:
    """/api."""
    server = {"clientCIDR": "0.0.0.0/0", "serverAddress": address}
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [server]}


def _groups() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in (*KINDS, *METRICS):
        versions = found.setdefault(each.group, [])
        if each.version not in versions:
            versions.append(each.version)
    return found


def _group(name: str, versions: list[str]) -> Object:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def group_list() -> Object:
    """/apis."""
    groups = [_group(name, versions) for name, versions in _groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(name: str) -> Object | None:
    """/apis/<group>."""
    versions = _groups().get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if name and versions else None


def _subresource(kind: Kind, name: str) -> tuple[str, str, str, tuple[str, ...]]:
    own = (kind.group, kind.version, kind.kind, _DEFAULT_VERBS)
    return _SUBRESOURCES.get(name, own)


def resource_list(group_name: str, version_name: str) -> Object | None:
    """/api/v1 and /apis/<group>/<version>."""
    found: list[Object] = []
    for each in _of(group_name, version_name):
        entry: Object = {
            "name": each.plural,
            "singularName": each.singular,
            "namespaced": each.namespaced,
            "kind": each.kind,
            "verbs": list(each.verbs),
        }
        if each.short:
            entry["shortNames"] = list(each.short)
        if each.categories:
            entry["categories"] = list(each.categories)
        found.append(entry)
        for name in each.subresources:
            group_, version_, kind_, verbs = _subresource(each, name)
            below: Object = {
                "name": f"{each.plural}/{name}",
                "singularName": "",
                "namespaced": each.namespaced,
                "kind": kind_,
                "verbs": list(verbs),
            }
            if (group_, version_) != (each.group, each.version):
                below["group"], below["version"] = group_, version_
            found.append(below)
    if not found:
        return None
    full = f"{group_name}/{version_name}" if group_name else version_name
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": full, "resources": found}


def _of(group_name: str, version_name: str) -> Iterable[Kind]:
    return [each for each in (*KINDS, *METRICS) if (each.group, each.version) == (group_name, version_name)]


def aggregated(*, core: bool) -> Object:
    """/api or /apis as one APIGroupDiscoveryList."""
    items = []
    for name, versions in _groups().items():
        if (name == "") is not core:
            continue
        entries = [
            {"version": each, "resources": [_aggregated(kind) for kind in _of(name, each)], "freshness": "Current"}
            for each in versions
        ]
        metadata: Object = {"name": name} if name else {}
        metadata["creationTimestamp"] = None
        items.append({"metadata": metadata, "versions": entries})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated(kind: Kind) -> Object:
    entry: Object = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.subresources:
        entry["subresources"] = []
        for name in kind.subresources:
            group_, version_, kind_, verbs = _subresource(kind, name)
            response = {"group": group_, "version": version_, "kind": kind_}
            entry["subresources"].append({"subresource": name, "responseKind": response, "verbs": list(verbs)})
    return entry

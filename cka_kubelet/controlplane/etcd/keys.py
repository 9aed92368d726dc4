"""Where upstream keeps an object in etcd: `/registry/pods/NAMESPACE/NAME`, with the exceptions that history has left.

Source: `pkg/kubeapiserver/default_storage_factory_builder.go` (SpecialDefaultResourcePrefixes).
"""

from cka_kubelet.controlplane.kinds import KINDS

_SPECIAL = {
    "endpoints": "services/endpoints",
    "ingresses.networking.k8s.io": "ingress",
    "nodes": "minions",
    "replicationcontrollers": "controllers",
    "services": "services/specs",
}
_WITH_GROUP = ("apiextensions.k8s.io", "apiregistration.k8s.io")
"""API groups whose resources, like custom ones, are kept below the group's name."""
_BUILT_IN = {kind.group for kind in KINDS}


def _folder(resource: str) -> str:
    plural, _, group = resource.partition(".")
    if resource in _SPECIAL:
        return _SPECIAL[resource]
    return f"{group}/{plural}" if group in _WITH_GROUP or group not in _BUILT_IN else plural


_RESOURCES = {_folder(kind.storage): kind.storage for kind in KINDS}


class Layout:
    """Keys below a prefix (`--etcd-prefix`, with or without slashes around)."""

    def __init__(self, prefix: str) -> None:
        self.root = f"/{prefix.strip('/')}/".encode()
        """What every key begins with."""

    def key(self, resource: str, namespace: str, name: str) -> bytes:
        """The key of an object."""
        parts = [_folder(resource), namespace, name] if namespace else [_folder(resource), name]
        return self.root + "/".join(parts).encode()

    def parse(self, key: bytes) -> tuple[str, str, str] | None:
        """Resource, namespace and name; None for what is no object."""
        try:
            parts = key[len(self.root) :].decode().split("/")
        except UnicodeDecodeError:
            return None
        for size in (2, 1):
            resource = _RESOURCES.get("/".join(parts[:size]))
            if resource is not None:
                return _placed(resource, parts[size:])
        group = parts[0]
        return _placed(f"{parts[1]}.{group}", parts[2:]) if "." in group and len(parts) > 2 else None


def _placed(resource: str, rest: list[str]) -> tuple[str, str, str] | None:
    match rest:
        case [namespace, name]:
            return resource, namespace, name
        case [name]:
            return resource, "", name
    return None


def after(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with `prefix`, which must not end in 0xff."""
    return prefix[:-1] + bytes([prefix[-1] + 1])

"""One volume of a pod as its plugin sees it: claims followed, names made (volumemanager's desired state of world)."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from cka_kubelet.kubelet.pods import objects

PLUGINS = {
    "emptyDir": "empty-dir",
    "configMap": "configmap",
    "secret": "secret",
    "downwardAPI": "downward-api",
    "projected": "projected",
    "hostPath": "host-path",
    "local": "local-volume",
    "nfs": "nfs",
    "csi": "csi",
}
"""Plugin names, without `kubernetes.io/`, by the field of a volume or PersistentVolume that chooses them."""
FROM_API = frozenset({"configMap", "secret", "downwardAPI", "projected"})
"""Kinds whose files are made of API objects: always mounted read-only, brought up to date at every sync."""


class Spec(NamedTuple):
    """`volume` is the name in the pod, `name` the PersistentVolume's where there is one."""

    volume: str
    name: str
    kind: str
    source: dict[str, Any]
    read_only: bool = False
    persistent: dict[str, Any] | None = None

    @property
    def plugin(self) -> str:
        """`kubernetes.io/configmap`."""
        return f"kubernetes.io/{PLUGINS.get(self.kind, 'unknown')}"

    @property
    def directory(self) -> str:
        """The volume's directory below the pod's `volumes`: `kubernetes.io~configmap/NAME`."""
        return f"{self.plugin.replace('/', '~')}/{self.name}"

    def unique_name(self, uid: str) -> str:
        """What log lines and node.status call it. Volumes that a node mounts once for all pods lack the pod's uid."""
        if self.kind == "csi" and self.persistent is not None:
            return f"{self.plugin}/{self.source.get('driver')}^{self.source.get('volumeHandle')}"
        return f"{self.plugin}/{self.name}" if self.kind == "local" else f"{self.plugin}/{uid}-{self.name}"

    @property
    def mounts_read_only(self) -> bool:
        """Whether containers get it read-only whatever their volumeMount says."""
        return self.kind in FROM_API or self.read_only


def of_volume(volume: dict[str, Any]) -> Spec:
    """A volume that names no claim. A volume without a source is an emptyDir."""
    name = str(volume["name"])
    kind = next((k for k in volume if k != "name"), "emptyDir")
    source = volume.get(kind) or {}
    return Spec(name, name, kind, source, bool(source.get("readOnly")) if kind in ("nfs", "csi") else False)


def of_persistent(volume: str, found: dict[str, Any], *, read_only: bool) -> Spec:
    """A PersistentVolume, as volume `volume` of a pod. Unknown types give kind ""."""
    spec = found["spec"]
    kind = next((k for k in ("hostPath", "local", "nfs", "csi") if spec.get(k)), "")
    source = spec.get(kind) or {}
    read_only = read_only or bool(source.get("readOnly"))
    return Spec(volume, str(found["metadata"]["name"]), kind, source, read_only, found)


def claim_name(pod: objects.Pod, volume: dict[str, Any]) -> str:
    """The PersistentVolumeClaim behind a volume, "" for none; a generic ephemeral volume's is named after the pod."""
    if "ephemeral" in volume:
        return f"{objects.name(pod)}-{volume['name']}"
    return str((volume.get("persistentVolumeClaim") or {}).get("claimName") or "")


def used(pod: objects.Pod) -> Iterator[dict[str, Any]]:
    """The volumes that some container mounts, in the order of the spec; image volumes are the runtime's affair."""
    every = [*objects.all_containers(pod), *(pod["spec"].get("ephemeralContainers") or [])]
    names = {m["name"] for c in every for m in c.get("volumeMounts") or []}
    for volume in pod["spec"].get("volumes") or []:
        if volume["name"] in names and "image" not in volume:
            yield volume

"""Attaching CSI volumes to nodes (pkg/controller/volume/attachdetach): a VolumeAttachment asks the driver's attacher.

What is attached stands in the node's status, where its kubelet looks before it mounts.
"""

import hashlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from cka_kubelet.controlplane.client import MERGE, Client
from cka_kubelet.controlplane.controllers import volumematching as matching
from cka_kubelet.controlplane.controllers.informer import Informer
from cka_kubelet.controlplane.controllers.recorder import Recorder
from cka_kubelet.kube.apistatus import StatusError

Object = dict[str, Any]

_PATH = "/apis/storage.k8s.io/v1/volumeattachments"
_PATIENCE = 120.0
"""Seconds that the controller waits for an attacher before it complains (csiTimeout)."""


class Wanted(NamedTuple):
    """One volume on one node."""

    node: str
    volume: str
    driver: str
    handle: str

    @property
    def name(self) -> str:
        """The VolumeAttachment's name, which the kubelet computes too."""
        return "csi-" + hashlib.sha256(f"{self.handle}{self.driver}{self.node}".encode()).hexdigest()

    @property
    def unique(self) -> str:
        """The volume's name in node.status.volumesAttached."""
        return f"kubernetes.io/csi/{self.driver}^{self.handle}"


class Attachments:
    """Compares what pods need attached with the VolumeAttachments there are."""

    def __init__(
        self,
        client: Client,
        nodes: Informer,
        pods: Informer,
        claims: Informer,
        volumes: Informer,
        drivers: Informer,
        attachments: Informer,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._nodes = nodes
        self._pods = pods
        self._claims = claims
        self._volumes = volumes
        self._drivers = drivers
        self._attachments = attachments
        self._now = now
        self._asked: dict[str, float] = {}
        self._recorder = Recorder(client, "attachdetach-controller", now)

    async def sync(self) -> float | None:
        """Ask for what is missing, let go what no pod needs; seconds until patience runs out somewhere."""
        wanted = self.wanted()
        mounted = self._in_use()
        known = {str(item["metadata"]["name"]): item for item in self._attachments.items.values()}
        for each, pods in wanted.items():
            if each.name not in known:
                await self._ask(each)
            elif not (known[each.name].get("status") or {}).get("attached"):
                await self._wait(each, pods, known[each.name])
            else:
                self._asked.pop(each.name, None)
        names = {each.name for each in wanted}
        for name, item in known.items():
            gone = name not in names and _unique_of(item, self._volumes) not in mounted.get(_node_of(item), set())
            if gone and not item["metadata"].get("deletionTimestamp"):
                await self._client.delete(f"{_PATH}/{name}")
        await self._report(wanted, known)
        return 10.0 if self._asked else None

    def wanted(self) -> dict[Wanted, list[Object]]:
        """What must be attached, with the pods that need it."""
        result: dict[Wanted, list[Object]] = {}
        for pod in self._pods.items.values():
            node, phase = (pod.get("spec") or {}).get("nodeName"), (pod.get("status") or {}).get("phase")
            if not node or phase in ("Succeeded", "Failed"):
                continue
            for name in matching.claim_names(pod):
                claim = self._claims.get(pod["metadata"]["namespace"], name)
                if claim is None or not matching.is_bound(claim):
                    continue
                volume = self._volumes.get("", claim["spec"]["volumeName"])
                source = ((volume or {}).get("spec") or {}).get("csi")
                if source and self._attach_required(source["driver"]):
                    each = Wanted(node, claim["spec"]["volumeName"], source["driver"], source["volumeHandle"])
                    result.setdefault(each, []).append(pod)
        return result

    def _attach_required(self, driver: str) -> bool:
        found = self._drivers.get("", driver)
        return found is None or (found.get("spec") or {}).get("attachRequired") is not False

    def _in_use(self) -> dict[str, set[str]]:
        return {
            name: set((node.get("status") or {}).get("volumesInUse") or ())
            for (_, name), node in self._nodes.items.items()
        }

    async def _ask(self, each: Wanted) -> None:
        source = {"persistentVolumeName": each.volume}
        spec = {"attacher": each.driver, "nodeName": each.node, "source": source}
        try:
            await self._client.create(_PATH, {"metadata": {"name": each.name}, "spec": spec})
        except StatusError as error:
            if error.code != 409:
                raise
        self._asked[each.name] = self._now()

    async def _wait(self, each: Wanted, pods: list[Object], attachment: Object) -> None:
        began = self._asked.setdefault(each.name, self._now())
        problem = ((attachment.get("status") or {}).get("attachError") or {}).get("message")
        if not problem and self._now() - began < _PATIENCE:
            return
        self._asked[each.name] = self._now()
        waited = f"timed out waiting for external-attacher of {each.driver} CSI driver to attach volume {each.handle}"
        text = f'AttachVolume.Attach failed for volume "{each.volume}" : {problem or waited}'
        for pod in pods:
            await self._recorder.event(pod, "Pod", "FailedAttachVolume", text, warning=True)

    async def _report(self, wanted: dict[Wanted, list[Object]], known: dict[str, Object]) -> None:
        """Write node.status.volumesAttached where it changed."""
        attached: dict[str, set[str]] = {}
        for item in known.values():
            unique = _unique_of(item, self._volumes)
            if (item.get("status") or {}).get("attached") and unique:
                attached.setdefault(_node_of(item), set()).add(unique)
        for (_, name), node in list(self._nodes.items.items()):
            old = {entry["name"] for entry in (node.get("status") or {}).get("volumesAttached") or ()}
            new = attached.get(name, set())
            if old == new:
                continue
            entries = [{"name": unique, "devicePath": ""} for unique in sorted(new)] or None
            await self._client.patch(f"/api/v1/nodes/{name}/status", {"status": {"volumesAttached": entries}}, MERGE)
            for each, pods in wanted.items():
                if each.node == name and each.unique in new - old:
                    text = f'AttachVolume.Attach succeeded for volume "{each.volume}"'
                    for pod in pods:
                        await self._recorder.event(pod, "Pod", "SuccessfulAttachVolume", text)


def _node_of(attachment: Object) -> str:
    return str((attachment.get("spec") or {}).get("nodeName", ""))


def _unique_of(attachment: Object, volumes: Informer) -> str:
    name = ((attachment.get("spec") or {}).get("source") or {}).get("persistentVolumeName", "")
    source = ((volumes.get("", name) or {}).get("spec") or {}).get("csi")
    return f"kubernetes.io/csi/{source['driver']}^{source['volumeHandle']}" if source else ""

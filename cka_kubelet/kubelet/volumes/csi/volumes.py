"""Staging and publishing CSI volumes (pkg/volume/csi: csi_attacher.go, csi_mounter.go)."""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.volumes import mounts, ownership
from cka_kubelet.kubelet.volumes.csi import client
from cka_kubelet.kubelet.volumes.csi.drivers import Drivers
from cka_kubelet.kubelet.volumes.setup import SetUpError, mount_options
from cka_kubelet.kubelet.volumes.sources import ObjectSource
from cka_kubelet.kubelet.volumes.specs import Spec

_MOUNT_DEVICE = "MountVolume.MountDevice failed"
_DATA = "vol_data.json"
_MODES = {"ReadWriteOnce": 1, "ReadWriteOncePod": 1, "ReadOnlyMany": 3, "ReadWriteMany": 5}
Object = dict[str, Any]


class CSI:
    """Volumes of registered drivers. Attaching is left to the attach/detach controller and the driver's attacher."""

    def __init__(
        self, drivers: Drivers, root_dir: str, node_name: str, api: APIClient | None, source: ObjectSource
    ) -> None:
        self.drivers = drivers
        self._root = Path(root_dir)
        self._node_name = node_name
        self._api = api
        self._source = source

    async def set_up(self, pod: objects.Pod, spec: Spec, folder: Path) -> str:
        """Stage and publish; the path that containers get. Raises SetUpError."""
        name = str(spec.source.get("driver") or "")
        driver = await self._driver(name)
        persistent = spec.persistent is not None
        handle = str(spec.source.get("volumeHandle") or "") if persistent else _ephemeral_handle(pod, spec)
        capability = _capability(spec)
        try:
            socket = self._socket(name)
            can = await client.capabilities(socket)
        except (LookupError, RpcError) as error:
            if persistent:
                text = f"attacher.MountDevice failed to create newCsiDriverClient: {error}"
                raise SetUpError(f"kubernetes.io/csi: {text}", _MOUNT_DEVICE) from None
            raise SetUpError(f"kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: {error}") from None
        if ownership.group_of(pod) is not None and client.VOLUME_MOUNT_GROUP in can:
            capability["mount"]["volume_mount_group"] = str(ownership.group_of(pod))
        context = await self._publish_context(name, handle) if persistent and _attaches(driver) else {}
        staging = ""
        if persistent and client.STAGE_UNSTAGE_VOLUME in can:
            staging = await self._stage(pod, spec, socket, handle, capability, context)
        target = folder / "mount"
        if not mounts.is_mount_point(target):
            await self._publish(pod, spec, driver, socket, handle, capability, context, staging, target)
        if _owns_files(spec, driver) and client.VOLUME_MOUNT_GROUP not in can and not spec.read_only:
            ownership.give_to_group(pod, target, read_only=False, on_mismatch_allowed=True)
        return str(target)

    async def attach_required(self, spec: Spec) -> bool:
        """Whether the volume's driver has an attacher (CSIDriver.spec.attachRequired, true by default)."""
        driver = await self._driver(str(spec.source.get("driver") or ""))
        return _attaches(driver)

    async def tear_down(self, folder: Path) -> None:
        """Unpublish a pod's volume and, after its last pod, unstage it.

        Raises RpcError, LookupError for a driver that is not there, OSError and ValueError for a record that is not.
        """
        data = json.loads((folder / _DATA).read_text())
        name, handle, target = data["driverName"], data["volumeHandle"], folder / "mount"
        socket = self._socket(name)
        await client.call(socket, "NodeUnpublishVolume", {"volume_id": handle, "target_path": str(target)}, name)
        _remove(target, folder)
        staging = self._staging(name, handle)
        if staging.exists() and not self._used(name, handle):
            request = {"volume_id": handle, "staging_target_path": str(staging)}
            await client.call(socket, "NodeUnstageVolume", request, name)
            _remove(staging, staging.parent)

    async def _driver(self, name: str) -> Object:
        """The CSIDriver's spec; upstream's defaults when there is none."""
        found: Object = {}
        if self._api is not None:
            try:
                found = await self._api.get(f"/apis/storage.k8s.io/v1/csidrivers/{name}")
            except StatusError as error:
                if error.code != 404:
                    raise SetUpError(f"kubernetes.io/csi: {error}") from None
            except TransportError as error:
                raise SetUpError(f"kubernetes.io/csi: {error}") from None
        return found.get("spec") or {}

    async def _publish_context(self, driver: str, handle: str) -> Object:
        """What the attacher left for the node in the VolumeAttachment. Raises SetUpError."""
        if self._api is None:
            return {}
        name = "csi-" + hashlib.sha256(f"{handle}{driver}{self._node_name}".encode()).hexdigest()
        try:
            found = await self._api.get(f"/apis/storage.k8s.io/v1/volumeattachments/{name}")
        except (StatusError, TransportError) as error:
            raise SetUpError(f"kubernetes.io/csi: {error}", _MOUNT_DEVICE) from None
        return (found.get("status") or {}).get("attachmentMetadata") or {}

    def _socket(self, name: str) -> str:
        try:
            return self.drivers.endpoints[name]
        except KeyError:
            raise LookupError(f"driver name {name} not found in the list of registered CSI drivers") from None

    def _staging(self, name: str, handle: str) -> Path:
        digest = hashlib.sha256(handle.encode()).hexdigest()
        return self._root / "plugins/kubernetes.io/csi" / name / digest / "globalmount"

    def _used(self, name: str, handle: str) -> bool:
        """Whether some other pod of this node has the volume published."""
        for file in (self._root / "pods").glob(f"*/volumes/kubernetes.io~csi/*/{_DATA}"):
            with contextlib.suppress(OSError, ValueError):
                data = json.loads(file.read_text())
                if (data.get("driverName"), data.get("volumeHandle")) == (name, handle):
                    return True
        return False

    async def _stage(
        self, pod: objects.Pod, spec: Spec, socket: str, handle: str, capability: Object, attached: Object
    ) -> str:
        name = str(spec.source.get("driver"))
        staging = self._staging(name, handle)
        if mounts.is_mount_point(staging):
            return str(staging)
        staging.mkdir(mode=0o750, parents=True, exist_ok=True)
        (staging.parent / _DATA).write_text(json.dumps({"driverName": name, "volumeHandle": handle}) + "\n")
        request = {
            "volume_id": handle,
            "staging_target_path": str(staging),
            "publish_context": attached,
            "volume_capability": capability,
            "secrets": await self._secrets(pod, spec.source.get("nodeStageSecretRef"), _MOUNT_DEVICE),
            "volume_context": spec.source.get("volumeAttributes") or {},
        }
        try:
            await client.call(socket, "NodeStageVolume", request, name)
        except RpcError as error:
            raise SetUpError(str(error), _MOUNT_DEVICE) from None
        text = f"MountVolume.MountDevice succeeded for volume {json.dumps(spec.name)} device mount path"
        klog.info("operation_generator.go:580", f"{text} {json.dumps(str(staging))}", pod=objects.key(pod))
        return str(staging)

    async def _publish(
        self,
        pod: objects.Pod,
        spec: Spec,
        driver: Object,
        socket: str,
        handle: str,
        capability: Object,
        attached: Object,
        staging: str,
        target: Path,
    ) -> None:
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        persistent = spec.persistent is not None
        data = {
            "driverName": spec.source.get("driver"),
            "nodeName": self._node_name,
            "specVolID": spec.name,
            "volumeHandle": handle,
            "volumeLifecycleMode": "Persistent" if persistent else "Ephemeral",
        }
        (target.parent / _DATA).write_text(json.dumps(data) + "\n")
        context = dict(spec.source.get("volumeAttributes") or {})
        if driver.get("podInfoOnMount"):
            context |= _pod_info(pod, ephemeral=not persistent)
        request = {
            "volume_id": handle,
            "staging_target_path": staging,
            "target_path": str(target),
            "publish_context": attached,
            "volume_capability": capability,
            "readonly": spec.read_only,
            "secrets": await self._secrets(pod, spec.source.get("nodePublishSecretRef"), ""),
            "volume_context": context,
        }
        try:
            await client.call(socket, "NodePublishVolume", request, str(spec.source.get("driver")))
        except RpcError as error:
            raise SetUpError(str(error)) from None

    async def _secrets(self, pod: objects.Pod, reference: Object | None, step: str) -> dict[str, str]:
        if not reference:
            return {}
        namespace = str(reference.get("namespace") or objects.namespace(pod))
        try:
            data = await self._source.data("secret", namespace, str(reference.get("name")))
        except LookupError as error:
            text = f"fetching NodePublishSecretRef {namespace}/{reference.get('name')} failed: {error.args[0]}"
            raise SetUpError(text, step) if step else SetUpError(text) from None
        return {key: value.decode(errors="replace") for key, value in data.items()}


def _attaches(driver: Object) -> bool:
    return driver.get("attachRequired") is not False


def _remove(mount_point: Path, folder: Path) -> None:
    """Remove an empty mount point, the record beside it and their directory. Raises OSError when there is more."""
    with contextlib.suppress(FileNotFoundError):
        mount_point.rmdir()
    (folder / _DATA).unlink(missing_ok=True)
    folder.rmdir()


def _ephemeral_handle(pod: objects.Pod, spec: Spec) -> str:
    """An inline volume's handle, which lives and dies with its pod."""
    return "csi-" + hashlib.sha256(f"{objects.uid(pod)}{spec.name}".encode()).hexdigest()


def _capability(spec: Spec) -> Object:
    wanted = (spec.persistent or {}).get("spec", {}).get("accessModes") or ["ReadWriteOnce"]
    mount = {"fs_type": spec.source.get("fsType") or "", "mount_flags": mount_options(spec.persistent)}
    return {"mount": mount, "access_mode": {"mode": _MODES.get(wanted[0], 1)}}


def _owns_files(spec: Spec, driver: Object) -> bool:
    """Whether fsGroup applies (CSIDriver.spec.fsGroupPolicy)."""
    policy = driver.get("fsGroupPolicy") or "ReadWriteOnceWithFSType"
    if policy != "ReadWriteOnceWithFSType":
        return bool(policy == "File")
    modes = (spec.persistent or {}).get("spec", {}).get("accessModes") or []
    return bool(spec.source.get("fsType")) and "ReadWriteOnce" in modes


def _pod_info(pod: objects.Pod, *, ephemeral: bool) -> dict[str, str]:
    prefix = "csi.storage.k8s.io/"
    return {
        f"{prefix}pod.name": objects.name(pod),
        f"{prefix}pod.namespace": objects.namespace(pod),
        f"{prefix}pod.uid": objects.uid(pod),
        f"{prefix}serviceAccount.name": str(pod["spec"].get("serviceAccountName") or ""),
        f"{prefix}ephemeral": str(ephemeral).lower(),
    }

"""Setting one volume up, by its type (the SetUp of pkg/volume/*)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from cka_kubelet.kube import nodeselector
from cka_kubelet.kube.gofmt import path_error
from cka_kubelet.kubelet.pods import objects, resources
from cka_kubelet.kubelet.pods.settings import Settings
from cka_kubelet.kubelet.volumes import hostpath, mounts, ownership, specs, writer
from cka_kubelet.kubelet.volumes.payloads import Payloads
from cka_kubelet.kubelet.volumes.specs import Spec

SETUP = "MountVolume.SetUp failed"
NOT_ATTACHED = "Volume not attached according to node status"
NEW_MOUNTER = "MountVolume.NewMounter initialization failed"
_MEMORY = frozenset({"secret", "projected", "downwardAPI"})
NodeGetter = Callable[[], dict[str, Any] | None]


class SetUpError(Exception):
    """One attempt at one volume failed; `step` begins the text of its FailedMount event."""

    def __init__(self, text: str, step: str = SETUP) -> None:
        super().__init__(text)
        self.step = step


class CSISetUp(Protocol):
    """Volumes of CSI drivers."""

    async def set_up(self, pod: objects.Pod, spec: Spec, folder: Path) -> str: ...

    async def attach_required(self, spec: Spec) -> bool: ...


class Plugins:
    """What the kubelet can do with a volume. `csi` gives the part for CSI drivers, when it is first needed."""

    def __init__(self, settings: Settings, payloads: Payloads, node: NodeGetter, csi: Callable[[], CSISetUp]) -> None:
        self._csi = csi
        self._settings = settings
        self._payloads = payloads
        self._node = node

    def directory(self, uid: str, spec: Spec) -> Path:
        """`<root>/pods/UID/volumes/kubernetes.io~PLUGIN/NAME`."""
        return Path(self._settings.pod_dir(uid)) / "volumes" / spec.directory

    async def attachable(self, spec: Spec) -> bool:
        """Whether a controller attaches the volume to the node before it can be mounted. Raises SetUpError."""
        return spec.kind == "csi" and spec.persistent is not None and await self._csi().attach_required(spec)

    def attached(self, unique_name: str) -> bool:
        """Whether the node's status says that the volume is attached."""
        status = (self._node() or {}).get("status") or {}
        return any(entry.get("name") == unique_name for entry in status.get("volumesAttached") or ())

    async def set_up(self, pod: objects.Pod, spec: Spec) -> str:
        """Make the volume; the path on the node that containers get. Raises SetUpError."""
        self._check_affinity(spec)
        try:
            return await self._by_kind(pod, spec)
        except LookupError as error:
            raise SetUpError(str(error.args[0] if error.args else error)) from None
        except OSError as error:
            raise SetUpError(path_error("mkdir", error.filename, error)) from None
        except (hostpath.HostPathError, mounts.MountError, ValueError) as error:
            raise SetUpError(str(error)) from None

    async def _by_kind(self, pod: objects.Pod, spec: Spec) -> str:
        if spec.kind == "hostPath":
            path = str(spec.source.get("path") or "")
            hostpath.check(path, spec.source.get("type") or "")
            return path
        if spec.kind == "emptyDir":
            return self._empty_dir(pod, spec)
        if spec.kind in specs.FROM_API:
            return await self._files(pod, spec)
        if spec.kind == "local":
            return self._local(pod, spec)
        if spec.kind == "nfs":
            return await self._nfs(pod, spec)
        if spec.kind == "csi":
            return await self._csi().set_up(pod, spec, self.directory(objects.uid(pod), spec))
        raise SetUpError("no volume plugin matched name", NEW_MOUNTER)

    def _check_affinity(self, spec: Spec) -> None:
        node = self._node()
        if spec.persistent is None or node is None:
            return
        required = ((spec.persistent["spec"].get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms")
        if required is not None and not nodeselector.matches(required, node):
            raise SetUpError("no matching NodeSelectorTerms", "MountVolume.NodeAffinity check failed")

    def _empty_dir(self, pod: objects.Pod, spec: Spec) -> str:
        path = self.directory(objects.uid(pod), spec)
        path.mkdir(parents=True, exist_ok=True)
        if spec.source.get("medium") == "Memory":
            self._memory(pod, path, resources.byte_count(spec.source.get("sizeLimit")) or 0)
        _open_to_all(path)
        ownership.give_to_group(pod, path, read_only=False)
        return str(path)

    async def _files(self, pod: objects.Pod, spec: Spec) -> str:
        payload = await self._payloads.of(pod, spec.kind, spec.source)
        path = self.directory(objects.uid(pod), spec)
        path.mkdir(parents=True, exist_ok=True)
        if spec.kind in _MEMORY:
            self._memory(pod, path, 0)
        _open_to_all(path)
        writer.write(path, payload, lambda: ownership.give_to_group(pod, path, read_only=True))
        return str(path)

    def _memory(self, pod: objects.Pod, path: Path, limit: int) -> None:
        """A tmpfs no larger than the node's allocatable memory, the pod's own limit or `limit` (bytes, 0: none)."""
        offered = ((self._node() or {}).get("status") or {}).get("allocatable") or {}
        sizes = [resources.byte_count(offered.get("memory")), _memory_limit(pod), limit]
        size = min((s for s in sizes if s), default=0)
        mounts.mount_tmpfs(path, f"size={size}" if size else "")

    def _local(self, pod: objects.Pod, spec: Spec) -> str:
        source = str(spec.source.get("path") or "")
        if not Path(source).exists():
            raise SetUpError(f'path "{source}" does not exist', NEW_MOUNTER)
        path = self.directory(objects.uid(pod), spec)
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        mounts.bind(source, path, read_only=spec.read_only)
        if not spec.read_only:
            ownership.give_to_group(pod, path, read_only=False, on_mismatch_allowed=True)
        return str(path)

    async def _nfs(self, pod: objects.Pod, spec: Spec) -> str:
        path = self.directory(objects.uid(pod), spec)
        if mounts.is_mount_point(path):
            return str(path)
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        server = str(spec.source.get("server") or "")
        server = f"[{server}]" if ":" in server else server
        options = {*mount_options(spec.persistent), *(["ro"] if spec.read_only else [])}
        try:
            await mounts.mount(f"{server}:{spec.source.get('path')}", path, "nfs", sorted(options))
        except mounts.MountError:
            path.rmdir()
            raise
        return str(path)


def mount_options(persistent: dict[str, Any] | None) -> list[str]:
    """spec.mountOptions of a PersistentVolume, or what its older annotation says."""
    if persistent is None:
        return []
    beta = (persistent["metadata"].get("annotations") or {}).get("volume.beta.kubernetes.io/mount-options")
    return str(beta).split(",") if beta is not None else list(persistent["spec"].get("mountOptions") or [])


def _memory_limit(pod: objects.Pod) -> int:
    """The sum of the containers' memory limits in bytes, 0 when one has none."""
    limits = [
        resources.byte_count(((c.get("resources") or {}).get("limits") or {}).get("memory"))
        for c in objects.containers(pod)
    ]
    return sum(limits) if all(limits) else 0


def _open_to_all(path: Path) -> None:
    """Permissions 0777; a tmpfs keeps its sticky bit."""
    if path.stat().st_mode & 0o777 != 0o777:
        path.chmod(0o777)

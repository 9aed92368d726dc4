"""Starting one container: image, configuration, create, start, log link, postStart."""

import contextlib
import re
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import path_error
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import configs, hosts, objects
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.env import EnvError, References, expand, make_env
from cka_kubelet.kubelet.pods.events import NORMAL, WARNING, PodEvents
from cka_kubelet.kubelet.pods.images import Image, ImageManager, SecretData, StartError
from cka_kubelet.kubelet.pods.killer import Killer
from cka_kubelet.kubelet.pods.lifecycle import HookError, Hooks
from cka_kubelet.kubelet.pods.security import SecurityError, verify_non_root
from cka_kubelet.kubelet.pods.settings import Settings
from cka_kubelet.kubelet.volumes import subpaths
from cka_kubelet.kubelet.volumes.manager import Mounted

_LOG = re.compile(r"^(\d+)\.log")


class Surroundings(NamedTuple):
    """What a container needs of the world: references for its environment, the pod's volumes by name.

    `recursive_read_only`: the runtime can make mounts below a mount read-only too.
    """

    refs: References
    volumes: dict[str, Mounted]
    secret: SecretData | None
    recursive_read_only: bool = False


Surround = Callable[[objects.Pod, objects.Container, list[str]], Awaitable[Surroundings]]


class Starter:
    """Starts containers. `surround` gives a container's Surroundings, or raises StartError."""

    def __init__(
        self,
        cri: CRIClient,
        settings: Settings,
        events: PodEvents,
        images: ImageManager,
        hooks: Hooks,
        killer: Killer,
        surround: Surround,
        cgroup_version: int,
    ) -> None:
        self._cri = cri
        self._settings = settings
        self._events = events
        self._images = images
        self._hooks = hooks
        self._killer = killer
        self._surround = surround
        self.cpuset: Callable[[str, str], str] | None = None
        self._v2 = cgroup_version == 2
        self.swap_accounting = self._v2 or Path("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists()

    async def start(
        self,
        pod: objects.Pod,
        container: objects.Container,
        status: rs.PodStatus,
        sandbox_id: str,
        sandbox: Any,
        ips: list[str],
    ) -> None:
        """Start the container's next life. Raises StartError after recording why not."""
        surroundings_secret = (
            (await self._surround_secret(pod, container, ips)) if pod["spec"].get("imagePullSecrets") else None
        )
        try:
            image = await self._images.ensure(pod, container, sandbox, surroundings_secret)
            observed.image_volumes.add(amount=len(list(subpaths.images(pod, container))))
            volume_images = {
                name: (await self._images.ensure(pod, wanted, sandbox, surroundings_secret)).ref
                for name, wanted in subpaths.images(pod, container)
            }
        except StartError as error:
            self._fail(pod, container, error.reason)
            raise
        found = status.find(container["name"])
        restarts = found.attempt + 1 if found else self._restarts_from_logs(pod, container)
        config = await self._config(pod, container, restarts, image, volume_images, ips)
        self._share_processes(pod, container, status, config)
        if self.cpuset is not None:
            config.linux.resources.cpuset_cpus = self.cpuset(objects.uid(pod), container["name"])
        try:
            container_id = await self._cri.create_container(sandbox_id, config, sandbox)
        except RpcError as error:
            observed.image_volumes_failed.add(amount=len(volume_images))
            self._fail(pod, container, error.desc)
            raise StartError("CreateContainerError", error.desc) from None
        observed.image_volumes_mounted.add(amount=len(volume_images))
        self._events.container(pod, container, NORMAL, "Created", "Container created")
        try:
            await self._cri.start_container(container_id)
        except RpcError as error:
            self._fail(pod, container, error.desc)
            raise StartError("RunContainerError", error.desc) from None
        self._events.container(pod, container, NORMAL, "Started", "Container started")
        self._link_log(pod, container, container_id, f"{sandbox.log_directory}/{config.log_path}")
        await self._post_start(pod, container, container_id, sandbox_id, restarts, ips)

    def _share_processes(
        self, pod: objects.Pod, container: objects.Container, status: rs.PodStatus, config: Any
    ) -> None:
        """An ephemeral container may join the process namespace of a container of the pod. Raises StartError."""
        name = container.get("targetContainerName")
        if not name:
            return
        target = status.find(name)
        if target is None:
            text = f"unable to find target container {name}"
            self._fail(pod, container, text)
            raise StartError("CreateContainerConfigError", text)
        options = config.linux.security_context.namespace_options
        options.pid, options.target_id = pb.TARGET, target.id

    async def _surround_secret(
        self, pod: objects.Pod, container: objects.Container, ips: list[str]
    ) -> SecretData | None:
        return (await self._surround(pod, {"name": container["name"]}, ips)).secret

    def _fail(self, pod: objects.Pod, container: objects.Container, text: str) -> None:
        self._events.container(pod, container, WARNING, "Failed", f"Error: {text}")

    async def _config(
        self,
        pod: objects.Pod,
        container: objects.Container,
        restarts: int,
        image: Image,
        volume_images: dict[str, str],
        ips: list[str],
    ) -> Any:
        try:
            verify_non_root(pod, container, image.uid, image.user)
            around = await self._surround(pod, container, ips)
            env = make_env(pod, container, around.refs)
            mounts, devices = self._mounts(pod, container, around, volume_images, env, ips)
        except (SecurityError, EnvError, LookupError) as error:
            text = error.args[0] if error.args else str(error)
            self._fail(pod, container, str(text))
            raise StartError("CreateContainerConfigError", str(text)) from None
        except OSError as error:
            self._fail(pod, container, str(error))
            raise StartError("CreateContainerConfigError", str(error)) from None
        return configs.container_config(
            pod,
            container,
            restarts,
            image_ref=image.ref,
            image_uid=image.uid,
            image_user=image.user,
            env=env,
            mounts=mounts,
            devices=devices,
            memory_capacity=self._settings.memory_capacity,
            cfs_quota=self._settings.cfs_quota,
            cgroup_v2=self._v2,
            swap_accounting=self.swap_accounting,
            seccomp_default=self._settings.seccomp_default,
        )

    def _mounts(
        self,
        pod: objects.Pod,
        container: objects.Container,
        around: Surroundings,
        images: dict[str, str],
        env: dict[str, str],
        ips: list[str],
    ) -> tuple[list[Any], list[Any]]:
        mounts: list[Any] = []
        devices: list[Any] = []
        for mount in container.get("volumeMounts") or []:
            if mount["name"] in images:
                mounts.append(configs.image_mount(mount, images[mount["name"]], _absolute(mount["mountPath"])))
                continue
            volume = around.volumes.get(mount["name"])
            if volume is None:
                raise LookupError(f'cannot find volume "{mount["name"]}" to mount into container "{container["name"]}"')
            source = volume.path
            inside = mount.get("subPath") or ""
            if mount.get("subPathExpr"):
                inside = expand(mount["subPathExpr"], env)
            if inside:
                source = subpaths.host_path(source, inside, mount["name"], container["name"])
            deep = subpaths.recursive_read_only(mount, supported=around.recursive_read_only)
            read_only = bool(mount.get("readOnly")) or volume.spec.mounts_read_only
            target = _absolute(mount["mountPath"])
            mounts.append(configs.volume_mount(mount, source, target, read_only=read_only, recursive=deep))
        taken = {m.container_path for m in mounts}
        if "/etc/hosts" not in taken and (ips or objects.host_network(pod)):
            mounts.append(pb.Mount(container_path="/etc/hosts", host_path=self._hosts(pod, ips)))
        path = container.get("terminationMessagePath") or "/dev/termination-log"
        if message := self._message_file(pod, container):
            mounts.append(pb.Mount(container_path=path, host_path=message))
        return mounts, devices

    def _hosts(self, pod: objects.Pod, ips: list[str]) -> str:
        path = Path(self._settings.pod_dir(objects.uid(pod))) / "etc-hosts"
        node_hosts = Path("/etc/hosts").read_text() if objects.host_network(pod) else None
        spec = pod["spec"]
        domain = configs.pod_domain(pod, self._settings.cluster_domain)
        hostname = configs.pod_hostname(pod, self._settings.node_name)
        text = hosts.hosts_file(ips, hostname, domain, spec.get("hostAliases") or [], node_hosts)
        try:
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
                path.chmod(0o644)
        except OSError as error:
            raise LookupError(path_error("open" if error.filename else "write", path, error)) from None
        return str(path)

    def _message_file(self, pod: objects.Pod, container: objects.Container) -> str:
        """The file for the termination message; "" when it cannot be made, which upstream lives with."""
        folder = Path(self._settings.pod_dir(objects.uid(pod))) / "containers" / container["name"]
        path = folder / secrets.token_hex(4)
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            text = path_error("mkdir", error.filename, error)
            klog.error("kubelet_pods.go:679", "Error on creating dir", err=text, path=str(folder))
            return ""
        try:
            path.touch()
            path.chmod(0o666)  # the container may run as any user
        except OSError as error:
            text = f"error on creating termination-log file {q(str(path))}: {path_error('open', path, error)}"
            klog.unhandled("kuberuntime_container.go:493", text)
            return ""
        return str(path)

    def _restarts_from_logs(self, pod: objects.Pod, container: objects.Container) -> int:
        """How often the container was started before its records were removed, by its highest N.log."""
        folder = Path(configs.log_directory(self._settings.logs_root, pod)) / container["name"]
        try:
            numbers = [int(m[1]) for file in folder.iterdir() if (m := _LOG.match(file.name))]
        except OSError:
            return 0
        return max(numbers) + 1 if numbers else 0

    def _link_log(self, pod: objects.Pod, container: objects.Container, container_id: str, log: str) -> None:
        name = f"{objects.name(pod)}_{objects.namespace(pod)}_{container['name']}-{container_id}.log"
        link = Path(self._settings.container_links) / name
        with contextlib.suppress(OSError):
            link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            link.symlink_to(log)

    async def _post_start(
        self,
        pod: objects.Pod,
        container: objects.Container,
        container_id: str,
        sandbox_id: str,
        restarts: int,
        ips: list[str],
    ) -> None:
        handler = (container.get("lifecycle") or {}).get("postStart")
        if not handler:
            return
        try:
            await self._hooks.run(pod, container, container_id, ips, handler)
        except HookError as error:
            klog.error(
                "kuberuntime_container.go:330",
                "Failed to execute PostStartHook",
                err=error,
                pod=objects.key(pod),
                podUID=objects.uid(pod),
                containerName=container["name"],
                containerID=f"containerd://{container_id}",
            )
            self._events.container(pod, container, WARNING, "FailedPostStartHook", "PostStartHook failed")
            target = rs.ContainerStatus(
                id=container_id, name=container["name"], sandbox_id=sandbox_id, state=rs.RUNNING, attempt=restarts
            )
            with contextlib.suppress(RpcError):
                await self._killer.container(pod, target, "FailedPostStartHook", ips=ips)
            raise StartError("PostStartHookError", error.message) from None


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"

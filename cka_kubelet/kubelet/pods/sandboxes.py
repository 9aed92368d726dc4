"""Making and finding a pod's sandbox."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import path_error
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import configs, dns, objects
from cka_kubelet.kubelet.pods.events import WARNING, PodEvents
from cka_kubelet.kubelet.pods.settings import Settings


class SyncError(Exception):
    """One step of a sync failed: prints as upstream's SyncResult. `retry_at`: when it may succeed, if that is known."""

    def __init__(self, action: str, target: str, kind: str, message: str, retry_at: float | None = None) -> None:
        super().__init__(f"failed to {q(action)} for {q(target)} with {kind}: {q(message)}")
        self.kind = kind
        self.retry_at = retry_at
        self.target = target
        self.message = message


def _make_directory(path: str) -> None:
    Path(path).mkdir(mode=0o755, parents=True, exist_ok=True)


RuntimeClasses = Callable[[], list[dict[str, Any]]]


def runtime_handler(pod: objects.Pod, classes: list[dict[str, Any]]) -> str:
    """The handler of the pod's RuntimeClass, "" without one. Raises LookupError with the API server's text."""
    name = pod["spec"].get("runtimeClassName") or ""
    if not name:
        return ""
    for found in classes:
        if found["metadata"]["name"] == name:
            return str(found.get("handler") or "")
    raise LookupError(f"runtimeclass.node.k8s.io {q(name)} not found")


class Sandboxes:
    """Creates pod sandboxes. `cgroup_parent(pod)` gives the CRI name of the pod's cgroup."""

    def __init__(
        self,
        cri: CRIClient,
        settings: Settings,
        events: PodEvents,
        cgroup_parent: Callable[[objects.Pod], str],
        runtime_classes: RuntimeClasses = list,
    ) -> None:
        self._cri = cri
        self._settings = settings
        self._events = events
        self._cgroup_parent = cgroup_parent
        self._runtime_classes = runtime_classes

    def config(self, pod: objects.Pod, attempt: int) -> Any:
        """The CRI configuration of the sandbox. Raises OSError when the node's resolv.conf cannot be read, and
        HostnameError."""
        settings = self._settings
        domain = configs.pod_domain(pod, settings.cluster_domain)
        hostname = configs.kernel_hostname(pod, configs.pod_hostname(pod, settings.node_name), domain)
        _, fell_back = dns.policy(pod, settings.cluster_dns)
        if fell_back:
            text = (
                'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. '
                'Falling back to "Default" policy.'
            )
            self._events.pod(pod, WARNING, "MissingClusterDNS", f"pod: {q(objects.described(pod))}. {text}")
        host = dns.host_dns(settings.resolv_conf)
        return configs.sandbox_config(
            pod,
            attempt,
            hostname=hostname,
            dns=dns.pod_dns(pod, host, settings.cluster_dns, settings.cluster_domain),
            cgroup_parent=self._cgroup_parent(pod),
            logs_root=settings.logs_root,
            seccomp_default=settings.seccomp_default,
        )

    async def create(self, pod: objects.Pod, attempt: int) -> tuple[str, Any]:
        """(id, configuration) of a new sandbox. Raises SyncError after logging and recording why not."""
        who = objects.described(pod)
        ref = objects.key(pod)
        try:
            config = self.config(pod, attempt)
        except (OSError, configs.HostnameError) as error:
            text = path_error("open", error.filename, error) if isinstance(error, OSError) else str(error)
            klog.error("kuberuntime_sandbox.go:44", "Failed to generate sandbox config for pod", err=text, pod=ref)
            raise self._failed(pod, f"Failed to generate sandbox config for pod {q(who)}: {text}", text) from None
        try:
            _make_directory(config.log_directory)
        except OSError as error:
            text = path_error("mkdir", config.log_directory, error)
            klog.error("kuberuntime_sandbox.go:51", "Failed to create log directory for pod", err=text, pod=ref)
            raise self._failed(pod, f"Failed to create log directory for pod {q(who)}: {text}", text) from None
        try:
            handler = runtime_handler(pod, self._runtime_classes())
        except LookupError as error:
            text = str(error.args[0])
            raise self._failed(pod, f"Failed to create sandbox for pod {q(who)}: {text}", text) from None
        if handler:
            klog.info(
                "kuberuntime_sandbox.go:64", "Running pod with runtime handler", v=2, pod=ref, runtimeHandler=handler
            )
        began, failed = time.monotonic(), True
        try:
            made = await self._cri.run_pod_sandbox(config, handler), config
            failed = False
        except RpcError as error:
            klog.error("kuberuntime_sandbox.go:70", "Failed to create sandbox for pod", err=error, pod=ref)
            raise self._failed(pod, f"Failed to create sandbox for pod {q(who)}: {error}", str(error)) from None
        finally:
            own_users = pod["spec"].get("hostUsers") is False
            observed.sandbox_run(handler, own_users, time.monotonic() - began, failed)
        return made

    def _failed(self, pod: objects.Pod, message: str, cause: str) -> SyncError:
        klog.error("kuberuntime_manager.go:1558", "CreatePodSandbox for pod failed", err=cause, pod=objects.key(pod))
        self._events.pod(pod, WARNING, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {cause}")
        return SyncError("CreatePodSandbox", objects.described(pod), "CreatePodSandboxError", message)

    async def stop(self, ids: list[str]) -> list[str]:
        """Stop sandboxes; the texts of what failed."""
        results = await asyncio.gather(*(self._cri.stop_pod_sandbox(i) for i in ids), return_exceptions=True)
        return [str(r) for r in results if isinstance(r, Exception)]

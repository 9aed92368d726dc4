"""postStart and preStop hooks: exec, httpGet, sleep."""

import asyncio
from typing import Any

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.probes import checks


class HookError(Exception):
    """A hook failed. str() is the cause, as the log shows it; `message` is what the container's status shows."""

    def __init__(self, cause: str, hook: str, pod: objects.Pod, container: objects.Container, more: str = "") -> None:
        super().__init__(cause)
        where = f"for Container {q(container['name'])} in Pod {q(objects.described(pod))}"
        self.message = f"{hook} {where} failed - error: {cause}{more}"


class Hooks:
    """Runs hooks in and against containers."""

    def __init__(self, cri: CRIClient) -> None:
        self._cri = cri

    async def run(
        self, pod: objects.Pod, container: objects.Container, container_id: str, ips: list[str], handler: dict[str, Any]
    ) -> None:
        """Run one handler to its end. Raises HookError."""
        if handler.get("exec"):
            await self._exec(pod, container, container_id, handler["exec"].get("command") or [])
        elif handler.get("httpGet"):
            await self._http(pod, container, ips, handler["httpGet"])
        elif handler.get("sleep"):
            try:
                await asyncio.sleep(float(handler["sleep"].get("seconds") or 0))
            except asyncio.CancelledError:
                observed.sleeps_cut.add()
                raise

    async def _http(
        self, pod: objects.Pod, container: objects.Container, ips: list[str], action: dict[str, Any]
    ) -> None:
        """Any answer will do, an error status too: upstream looks only at whether there was one."""
        hook = f"HTTP lifecycle hook ({action.get('path') or ''})"
        try:
            result = await checks.http(action, container, ips[0] if ips else "127.0.0.1", 30.0, "lifecycle")
        except checks.ProbeError as error:
            raise HookError(str(error), hook, pod, container) from None
        if not result.ok and not result.answered:
            raise HookError(result.output, hook, pod, container)

    async def _exec(
        self, pod: objects.Pod, container: objects.Container, container_id: str, command: list[str]
    ) -> None:
        try:
            reply = await self._cri.exec_sync(container_id, command)
        except RpcError as error:
            text, output = str(error), ""
        else:
            if reply.exit_code == 0:
                return
            output = (reply.stdout + reply.stderr).decode("utf-8", "replace")
            stderr = reply.stderr.decode("utf-8", "replace")
            text = f"command '{' '.join(command)}' exited with {reply.exit_code}: {stderr}"
        klog.info(
            "handlers.go:81",
            "Exec lifecycle hook for Container in Pod failed",
            v=1,
            execCommand=command,
            containerName=container["name"],
            pod=objects.key(pod),
            message=output,
            err=text,
        )
        hook = f"Exec lifecycle hook ([{' '.join(command)}])"
        raise HookError(text, hook, pod, container, f", message: {q(output)}")

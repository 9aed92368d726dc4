"""postStart and preStop hooks: exec, httpGet, sleep."""

import asyncio
from typing import Any

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.probes import checks


class HookError(Exception):
    """A hook failed."""


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
            try:
                result = await checks.http(handler["httpGet"], container, ips[0] if ips else "127.0.0.1", 30.0)
            except checks.ProbeError as error:
                raise HookError(str(error)) from None
            if not result.ok:
                raise HookError(result.output)
        elif handler.get("sleep"):
            await asyncio.sleep(float(handler["sleep"].get("seconds") or 0))

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
            text = f"command '{' '.join(command)}' exited with {reply.exit_code}: {output}"
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
        raise HookError(text)

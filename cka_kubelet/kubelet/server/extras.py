"""Handlers that few ever ask for: /statusz and /flagz, unless their gates are off, and /checkpoint."""

import datetime
import json
from collections.abc import Awaitable, Callable

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube.httpserver import Request, Response
from cka_kubelet.kubelet import featuregates
from cka_kubelet.kubelet.dependencies import Dependencies
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.manager import PodManager

Handler = Callable[[Request, list[str]], Awaitable[Response]]


def handlers(deps: Dependencies, pods: PodManager) -> dict[str, tuple[tuple[str, ...], Handler]]:
    """By the first word of the path: the methods it takes, () for any, and what answers."""

    async def statusz(request: Request, _rest: list[str]) -> Response:
        from cka_kubelet.kubelet.server import zpages

        return zpages.statusz(request)

    async def flagz(request: Request, _rest: list[str]) -> Response:
        from cka_kubelet.kubelet.server import zpages

        return zpages.flagz(request, deps.flag_values())

    async def checkpoint(request: Request, rest: list[str]) -> Response:
        return await _checkpoint(deps, pods, request, rest)

    found: dict[str, tuple[tuple[str, ...], Handler]] = {}
    for gate, word, handler in (("ComponentStatusz", "statusz", statusz), ("ComponentFlagz", "flagz", flagz)):
        if featuregates.enabled(deps.config, gate):
            found[word] = ((), handler)
    if featuregates.enabled(deps.config, "ContainerCheckpoint"):
        found["checkpoint"] = (("POST",), checkpoint)
    return found


def _text(status: int, body: str) -> Response:
    return Response(status, [("content-type", "text/plain; charset=utf-8")], body.encode("utf-8", "replace"))


async def _checkpoint(deps: Dependencies, pods: PodManager, request: Request, rest: list[str]) -> Response:
    """Have the runtime write a container's state to a file (server.go checkpoint)."""
    if len(rest) != 3:
        return _text(404, "404: Page Not Found")
    namespace, name, container = rest
    pod = pods.find(namespace, name)
    if pod is None:
        return _text(404, "pod does not exist")
    if objects.find_container(pod, container) is None:
        return _text(404, f"container {container} does not exist")
    timeout = (request.query.get("timeout") or ["0"])[-1]
    if not timeout.isdecimal():
        return _text(404, "cannot parse value of timeout parameter")
    status = pods.pleg.cache.get(objects.uid(pod))
    found = status.find(container) if status is not None else None
    failed = f"checkpointing of {namespace}/{name}/{container} failed"
    if found is None:
        return _text(500, f"{failed} (container {container} not found)")
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")
    path = f"{deps.root_dir}/checkpoints/checkpoint-{name}_{namespace}-{container}-{now}.tar"
    asked = pb.CheckpointContainerRequest(container_id=found.id, location=path, timeout=int(timeout))
    try:
        await deps.cri.call("CheckpointContainer", asked)
    except RpcError as error:
        return _text(500, f"{failed} ({error})")
    return Response(200, [("content-type", "application/json")], json.dumps({"items": [path]}).encode())

"""The way to a kubelet: logs, exec, attach, port-forward and the node proxy, on port 10250.

Upgrades are passed through byte by byte; anything else is streamed. Texts follow `pkg/registry/core/pod/rest` and
`k8s.io/apimachinery/pkg/util/proxy`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote, urlencode

from cka_kubelet.controlplane.kinds import kind
from cka_kubelet.controlplane.registry import Registry
from cka_kubelet.controlplane.requestinfo import Query, RequestInfo, first
from cka_kubelet.kube import apistatus
from cka_kubelet.kube.httpclient import HTTPClient, TransportError
from cka_kubelet.kube.httpserver import Hijack, Request, Response

Object = dict[str, Any]

_HOP = {"connection", "upgrade", "keep-alive", "te", "trailer", "transfer-encoding", "content-length", "host"}
_PRIVATE = {"authorization", "impersonate-user", "impersonate-group", "impersonate-uid"}
_COPY = 65536
_FETCH = 10.0
_STREAMS = ("exec", "attach", "portforward")


class KubeletProxy:
    """Requests to kubelets, with the API server's client certificate."""

    def __init__(self, registry: Registry, tls: ssl.SSLContext | None) -> None:
        self._registry = registry
        self._tls = tls

    async def handle(self, request: Request, info: RequestInfo, query: Query) -> Response | Hijack:
        """Answer a proxied subresource. Raises StatusError when the kubelet cannot be asked."""
        match info.plural, info.subresource:
            case "pods", "log":
                node, path = self._log(info, query)
            case "pods", ("exec" | "attach" | "portforward"):
                node, path = self._stream(info, query)
            case "nodes", "proxy":
                node, path = info.name.partition(":")[0], f"/{info.rest}"
                path += f"?{request.raw_query}" if request.raw_query else ""
            case _:
                raise apistatus.bad_request("proxying to pods and services needs their network; use port-forward")
        if not node:  # logs of a pod that no node has yet
            return Response(200, [("content-type", "text/plain")])
        if request.header("upgrade"):
            return await self._upgrade(request, self._client(node), path)
        return await self._forward(request, self._client(node), path, logs=info.subresource == "log")

    async def fetch(self, node: str, path: str) -> bytes:
        """What a kubelet answers to a GET. Raises TransportError or StatusError."""
        client = self._client(node)
        try:
            return (await client.request("GET", path, timeout=_FETCH)).body
        finally:
            client.close_idle()

    def _client(self, node: str) -> HTTPClient:
        if self._tls is None:
            raise apistatus.internal("no kubelet client certificate: --kubelet-client-certificate is not set")
        found = self._registry.get(kind("nodes"), "", node)
        status = found.get("status") or {}
        addresses = {item.get("type"): item.get("address") for item in reversed(status.get("addresses") or [])}
        order = ("InternalIP", "Hostname", "InternalDNS", "ExternalIP", "ExternalDNS")
        host = next((str(addresses[kind_]) for kind_ in order if addresses.get(kind_)), "")
        if not host:
            known = status.get("addresses") or []
            raise apistatus.internal(f"no preferred addresses found; known addresses: {known}")
        port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or 10250
        address = f"[{host}]" if ":" in host else host
        return HTTPClient(f"https://{address}:{port}", self._tls, user_agent="kube-apiserver")

    def _pod(self, info: RequestInfo) -> Object:
        return self._registry.get(kind("pods"), info.namespace, info.name)

    def _container(self, pod: Object, query: Query) -> str:
        """The container that is meant. Raises StatusError (400) when that is not clear."""
        spec, name = pod.get("spec") or {}, pod["metadata"]["name"]
        groups = ("initContainers", "containers", "ephemeralContainers")
        names = {group: [str(item["name"]) for item in spec.get(group) or ()] for group in groups}
        wanted = first(query, "container")
        if not wanted:
            if len(names["containers"]) == 1 and not names["initContainers"] and not names["ephemeralContainers"]:
                return names["containers"][0]
            if not names["initContainers"] and not names["ephemeralContainers"]:
                listed = " ".join(names["containers"])
                text = f"a container name must be specified for pod {name}, choose one of: [{listed}]"
                raise apistatus.bad_request(text)
            listed = " ".join(names["containers"])
            text = f"a container name must be specified for pod {name}, choose one of: [{listed}]"
            if names["initContainers"]:
                text += f" or one of the init containers: [{' '.join(names['initContainers'])}]"
            raise apistatus.bad_request(text)
        if not any(wanted in group for group in names.values()):
            raise apistatus.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted

    def _log(self, info: RequestInfo, query: Query) -> tuple[str, str]:
        pod = self._pod(info)
        container = self._container(pod, query)
        node = (pod.get("spec") or {}).get("nodeName", "")
        if not node:
            return "", ""
        keys = ("follow", "previous", "timestamps", "sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream")
        options = {key: first(query, key) for key in keys if first(query, key)}
        return node, _path("containerLogs", info, container, urlencode(options))

    def _stream(self, info: RequestInfo, query: Query) -> tuple[str, str]:
        pod = self._pod(info)
        node = (pod.get("spec") or {}).get("nodeName", "")
        if info.subresource == "portforward":
            if not node:
                raise apistatus.bad_request(f"pod {info.name} does not have a host assigned")
            pairs = [("port", value) for value in query.get("ports", [])]
            return node, _path("portForward", info, "", urlencode(pairs))
        container = self._container(pod, query)
        if not node:
            raise apistatus.bad_request(f"pod {info.name} does not have a host assigned")
        kubelet_names = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
        pairs = [(new, "1") for old, new in kubelet_names.items() if first(query, old) in ("true", "1")]
        pairs += [("command", value) for value in query.get("command", [])]
        return node, _path(info.subresource, info, container, urlencode(pairs))

    async def _forward(self, request: Request, client: HTTPClient, path: str, *, logs: bool) -> Response:
        headers = _end_to_end(request.headers)
        body = await request.read() if request.method in ("POST", "PUT", "PATCH") else None
        stack = AsyncExitStack()
        try:
            stream = await stack.enter_async_context(client.stream(request.method, path, body=body, headers=headers))
        except TransportError as error:
            raise self._unreachable(error, logs=logs) from error
        except BaseException:
            await stack.aclose()
            raise
        if logs and stream.status >= 400:
            text = (await stream.read()).decode("utf-8", "replace")
            await stack.aclose()
            raise _log_failure(stream.status, text)

        async def chunks() -> AsyncIterator[bytes]:
            try:
                async for chunk in stream.chunks():
                    yield chunk
            finally:
                await stack.aclose()

        kept = _end_to_end(stream.headers)
        return Response(stream.status, [("content-type", "text/plain")] if logs else kept, chunks())

    def _unreachable(self, error: TransportError, *, logs: bool) -> apistatus.StatusError:
        if logs:
            return apistatus.StatusError(500, "", str(error))
        text = f"error trying to reach service: {error.detail}"
        return apistatus.StatusError(503, "ServiceUnavailable", text)

    async def _upgrade(self, request: Request, client: HTTPClient, path: str) -> Response | Hijack:
        headers = _end_to_end(request.headers)
        headers += [("Connection", "Upgrade"), ("Upgrade", request.header("upgrade"))]
        try:
            there = await client.upgrade(request.method, path, headers)
        except TransportError as error:
            raise apistatus.StatusError(500, "", f"error dialing backend: {error.detail}") from error
        if there.status != 101:
            body = there.leftover + await _rest(there.reader, there.headers, len(there.leftover))
            there.writer.close()
            return Response(there.status, _end_to_end(there.headers), body)

        async def splice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in there.headers)]
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + there.leftover)
            try:
                await _both_ways(reader, writer, there.reader, there.writer)
            finally:
                there.writer.close()

        return Hijack(splice)


def _path(verb: str, info: RequestInfo, container: str, query: str) -> str:
    parts = [part for part in (verb, info.namespace, info.name, container) if part]
    return "/" + "/".join(quote(part, safe="") for part in parts) + (f"?{query}" if query else "")


def _log_failure(status: int, text: str) -> apistatus.StatusError:
    message = text.rstrip("\n")
    if status == 400:
        return apistatus.bad_request(message)
    if status == 404:
        return apistatus.StatusError(404, "NotFound", f"the server could not find the requested resource: {message}")
    return apistatus.StatusError(status, "InternalError", message)


def _end_to_end(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name not in _HOP and name not in _PRIVATE]


async def _rest(reader: asyncio.StreamReader, headers: Sequence[tuple[str, str]], have: int) -> bytes:
    """What is left of a refused upgrade's body, when its length is known."""
    length = next((int(value) for name, value in headers if name == "content-length"), 0)
    try:
        async with asyncio.timeout(5):
            return await reader.readexactly(max(length - have, 0))
    except (TimeoutError, asyncio.IncompleteReadError):
        return b""


async def _both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there_reader: asyncio.StreamReader,
    there_writer: asyncio.StreamWriter,
) -> None:
    """Copy until either side ends; what the kubelet still has to say is delivered first."""
    down = asyncio.create_task(_copy(there_reader, writer))
    up = asyncio.create_task(_copy(reader, there_writer))
    try:
        await asyncio.wait((down, up), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (down, up):
            task.cancel()
        await asyncio.gather(down, up, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(_COPY):
        target.write(data)
        await target.drain()

"""The API over HTTP: who asks, what for, may they, carry out, and the answer in the shape they accept."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from cka_kubelet.controlplane import discovery, openapi, protobuf, requestinfo, serverhealth, tables
from cka_kubelet.controlplane.authz import Attributes
from cka_kubelet.controlplane.health import Health
from cka_kubelet.controlplane.kinds import METRICS, Kind
from cka_kubelet.controlplane.proxy import KubeletProxy
from cka_kubelet.controlplane.registry import User
from cka_kubelet.controlplane.requestinfo import Query, RequestInfo, first
from cka_kubelet.controlplane.resourcemetrics import ResourceMetrics
from cka_kubelet.controlplane.resources import Resources
from cka_kubelet.kube import apistatus, klog
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpserver import BodyTooLargeError, Hijack, Request, Response

Object = dict[str, Any]

_BODY_LIMIT = 3 << 20
_JSON = [("content-type", "application/json"), ("cache-control", "no-cache, private")]
_TEXT = [("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff")]
_PROXIED = {
    "pods": {"log", "exec", "attach", "portforward", "proxy"},
    "nodes": {"proxy"},
    "services": {"proxy"},
}
_TABLE = re.compile(r"as=Table\b")
_PARTIAL = re.compile(r"as=PartialObjectMetadata(List)?\b")


class APIServer:
    """The HTTP handler."""

    def __init__(self, resources: Resources, proxy: KubeletProxy, address: str) -> None:
        self._resources = resources
        self._proxy = proxy
        self._address = address
        self._health = Health(serverhealth.checks(resources.registry.store))
        self._encoder = _EventEncoder()
        self._metrics = ResourceMetrics(resources.registry, proxy.fetch)

    async def handle(self, request: Request) -> Response | Hijack:
        """Answer one request; every failure is a metav1.Status."""
        try:
            return await self._handle(request)
        except StatusError as error:
            return _failure(error)
        except BodyTooLargeError as error:
            return _failure(apistatus.too_large(error.limit))
        except (OSError, EOFError):
            raise
        except Exception as error:  # one request's defect must not end the server
            where = f"{request.method} {request.path}"
            klog.error("wrap.go:57", "apiserver panic'd", err=f"{type(error).__name__}: {error}", URI=where)
            return _failure(apistatus.internal(f"{type(error).__name__}: {error}"))

    async def _handle(self, request: Request) -> Response | Hijack:
        query: Query = request.query
        info = requestinfo.parse(request.method, request.path, query)
        user = self._impersonated(request, self._resources.authenticator.authenticate(request))
        self._resources.authorizer.check(user, info.attributes(query))
        if not info.is_resource:
            return await self._plain(request)
        if info.group == METRICS[0].group:
            return Response(200, _JSON, _encode(await self._metrics.handle(info, query)))
        if info.kind is None:
            return Response(404, _TEXT, b"404 page not found\n")
        if info.subresource in _PROXIED.get(info.plural, ()) and info.subresource in info.kind.subresources:
            return await self._proxy.handle(request, info, query)
        if info.verb == "watch":
            events = await self._resources.watch(info, query)
            return Response(200, _JSON, _watch_lines(info.kind, events, request, self._encoder))
        body, content_type = await _body(request)
        answer = await self._resources.call(user, info, query, body, content_type)
        shaped = _shape(info, answer.object, request) if answer.status < 300 else answer.object
        return Response(answer.status, _JSON, _encode(shaped))

    def _impersonated(self, request: Request, user: User) -> User:
        """The user that `kubectl --as` wants to be. Raises StatusError when that is not allowed."""
        name = request.header("impersonate-user")
        if not name:
            return user
        groups = [value for key, value in request.headers if key == "impersonate-group"]
        self._resources.authorizer.check(user, Attributes("impersonate", "", "", "v1", "users", "", "", name))
        for group in groups:
            self._resources.authorizer.check(user, Attributes("impersonate", "", "", "v1", "groups", "", "", group))
        if name.startswith("system:serviceaccount:") and not groups:
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{name.split(':')[2]}"]
        if name != "system:anonymous" and "system:authenticated" not in groups:
            groups.append("system:authenticated")
        return User(name, tuple(groups))

    async def _plain(self, request: Request) -> Response:
        """Everything that is no resource: health, version, discovery, OpenAPI."""
        path = request.path.rstrip("/") or "/"
        answer = await self._health.answer(path, request.query)
        if answer is not None:
            return answer
        parts = [part for part in path.split("/") if part]
        found = self._discovery(parts, "apidiscovery.k8s.io" in request.header("accept"))
        if parts == ["openapi", "v2"]:
            return Response(200, [("content-type", openapi.V2_TYPE)], openapi.V2)
        if found is None:
            return Response(404, _TEXT, b"404 page not found\n")
        headers = _JSON
        if found.get("kind") == "APIGroupDiscoveryList":
            headers = [("content-type", discovery.AGGREGATED), _JSON[1]]
        return Response(200, headers, _encode(found))

    def _discovery(self, parts: list[str], aggregated: bool) -> Object | None:
        match parts:
            case ["version"]:
                return discovery.version()
            case []:
                paths = ["/api", "/api/v1", "/apis", *serverhealth.ROOTS, "/openapi/v3", "/version"]
                return {"paths": paths}
            case ["api"]:
                return discovery.aggregated(core=True) if aggregated else discovery.api_versions(self._address)
            case ["apis"]:
                return discovery.aggregated(core=False) if aggregated else discovery.group_list()
            case ["apis", group]:
                return discovery.group(group)
            case ["api", version]:
                return discovery.resource_list("", version)
            case ["apis", group, version]:
                return discovery.resource_list(group, version)
            case ["openapi", "v3"]:
                return openapi.index()
            case ["openapi", "v3", "api", version]:
                return openapi.document(version)
            case ["openapi", "v3", "apis", group, version]:
                return openapi.document(f"{group}/{version}")
        return None


def _failure(error: StatusError) -> Response:
    headers = list(_JSON)
    retry = (error.details or {}).get("retryAfterSeconds")
    if retry:
        headers.append(("retry-after", str(retry)))
    return Response(error.code, headers, apistatus.encode(error.status()))


def _encode(obj: Object) -> bytes:
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


async def _body(request: Request) -> tuple[Any, str]:
    content_type = request.header("content-type").partition(";")[0].strip().lower()
    data = await request.read(_BODY_LIMIT)
    if not data:
        return {}, content_type
    if content_type == "application/vnd.kubernetes.protobuf":
        try:
            return protobuf.decode(data), content_type
        except protobuf.DecodeError as error:
            raise apistatus.bad_request(str(error)) from error
    if content_type == "application/cbor":
        raise apistatus.unsupported_media_type(("application/json", "application/yaml"))
    try:
        return json.loads(data), content_type
    except ValueError as error:
        if "yaml" not in content_type:
            raise apistatus.bad_request(f"the object provided is unrecognized: {error}") from error
    import yaml  # only `apply` in YAML needs it: 1 MB less while nobody asks

    try:
        return yaml.safe_load(data), content_type
    except yaml.YAMLError as error:
        raise apistatus.bad_request(f"error decoding YAML: {error}") from error


def _first_accept(request: Request) -> str:
    return request.header("accept").partition(",")[0]


def _shape(info: RequestInfo, obj: Object, request: Request) -> Object:
    """The object as a Table or bare metadata, when that is what was asked for first."""
    accept, kind = _first_accept(request), info.kind
    if kind is None or obj.get("kind") in ("Status", "Scale", "TokenRequest"):
        return obj
    is_list = obj.get("kind") == kind.list_kind
    items = obj.get("items") or [] if is_list else [obj]
    revision = (obj.get("metadata") or {}).get("resourceVersion", "")
    if _TABLE.search(accept):
        return tables.table(kind, items, revision, first(request.query, "includeObject", "Metadata"))
    if _PARTIAL.search(accept):
        if not is_list:
            return tables.partial(obj)
        partials = [tables.partial(item) for item in items]
        shape = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        return {**shape, "metadata": {"resourceVersion": revision}, "items": partials}
    return obj


class _EventEncoder:
    """Encodes watch events. It remembers the last one: many watchers are told the same, one after the other."""

    def __init__(self) -> None:
        self._last: tuple[str, Object] = ("", {})
        self._line = b""

    def line(self, change: str, obj: Object) -> bytes:
        """The line of an event; `obj` must not change afterwards."""
        if change != self._last[0] or obj is not self._last[1]:
            self._last, self._line = (change, obj), _encode({"type": change, "object": obj})
        return self._line


async def _watch_lines(
    kind: Kind, events: AsyncIterator[Object], request: Request, encoder: _EventEncoder
) -> AsyncIterator[bytes]:
    accept = _first_accept(request)
    as_table, as_partial, header = bool(_TABLE.search(accept)), bool(_PARTIAL.search(accept)), True
    include = first(request.query, "includeObject", "Metadata")
    yield b""
    try:
        async for event in events:
            obj = event["object"]
            if as_table and event["type"] == "BOOKMARK":
                obj = tables.table(kind, [], obj["metadata"]["resourceVersion"], include, header=False)
            elif as_table:
                revision = obj["metadata"].get("resourceVersion", "")
                obj = tables.table(kind, [obj], revision, include, header=header)
                header = False
            elif as_partial:
                obj = tables.partial(obj)
            yield encoder.line(event["type"], obj)
    finally:
        closer = getattr(events, "aclose", None)
        if closer is not None:
            await closer()

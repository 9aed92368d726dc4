"""The server put together: authenticate, authorize, answer (pkg/kubelet/server/server.go)."""

import ipaddress
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import errno_text
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kube.httpserver import BodyTooLargeError, Hijack, Request, Response, Server, serve
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.dependencies import Dependencies
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.manager import PodManager
from cka_kubelet.kubelet.server import containerlogs, extras, routes, streaming, varlog
from cka_kubelet.kubelet.server.auth import Auth, AuthorizationError
from cka_kubelet.kubelet.server.metrics import Metrics
from cka_kubelet.kubelet.server.stats import Summary

TEXT = ("content-type", "text/plain; charset=utf-8")
JSON = ("content-type", "application/json")
PROMETHEUS = ("content-type", "text/plain; version=0.0.4; charset=utf-8")
_READ_ONLY = ("healthz", "pods", "stats", "metrics")  # InstallAuthNotRequiredHandlers
CHECKS = ("ping", "log", "syncloop", "device-plugin")

Answer = Response | Hijack
Handler = Callable[[Request, list[str]], Awaitable[Answer]]


def text(status: int, body: str) -> Response:
    """A plain answer."""
    return Response(status, [TEXT], body.encode("utf-8", "surrogateescape"))


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


NOT_FOUND = "404 page not found\n"
NO_ROUTE = "404: Page Not Found"
"""What go-restful says of a path below one that it serves; the other is the Go mux's."""


class KubeletServer:
    """:10250. `start()` listens; a port that cannot be had ends the kubelet, as upstream's."""

    def __init__(self, deps: Dependencies, pods: PodManager) -> None:
        self._deps = deps
        self._pods = pods
        self._auth = Auth(deps.config, deps.api, deps.node_name)
        logs = str(deps.config.at("podLogsDir") or "/var/log/pods")
        own = str(deps.config.at("kubeletCgroups") or "")
        self._summary = Summary(deps.cri, deps.node_name, deps.root_dir, pods, logs, deps.cgroup_version, own)
        self._metrics = Metrics(deps, pods, self._summary)
        self._servers: list[Server] = []
        self._debug = deps.config.at("enableDebuggingHandlers") is not False
        # What each answers to: () is any method, as of a plain handler of the Go mux.
        self._handlers: dict[str, tuple[tuple[str, ...], Handler]] = {
            "healthz": ((), self._healthz),
            "pods": (("GET",), self._pod_list),
            "runningpods": (("GET",), self._running_pods),
            "configz": ((), self._configz),
            "metrics": ((), self._metric),
            **extras.handlers(deps, pods),
            "stats": (("GET",), self._stats),
            "logs": (("GET",), self._log_files),
            "containerLogs": (("GET",), self._container_logs),
            "exec": (("GET", "POST"), self._exec),
            "attach": (("GET", "POST"), self._attach),
            "portForward": (("GET", "POST"), self._port_forward),
            "run": (("POST",), self._run),
            "debug": (("GET", "PUT"), self._debug_flags),
        }

    async def start(self) -> None:
        """Listen, at `readOnlyPort` too. Calls `deps.fatal(1)` after upstream's line when that is impossible."""
        config, tls = self._deps.config, self._deps.serving
        address, port = str(config.at("address") or "0.0.0.0"), int(config.at("port") or 10250)  # noqa: S104
        if not _is_ip(address):  # Go's parsed address is nil, and so it reads
            klog.info("server.go:193", "Starting to listen", address="<nil>", port=port)
            klog.error("server.go:209", "Failed to listen and serve", err="listen tcp: lookup <nil>: no such host")
            self._deps.fatal(1)
            return
        klog.info("server.go:193", "Starting to listen", address=address, port=port)
        if tls is None:
            listening = await self._listen(serve(self._handle, address, port), f"{address}:{port}")
        else:
            served = serve(self._handle, address, port, tls.context, tls_problem=tls.problem)
            listening = await self._listen(served, f"{address}:{port}")
        if listening:
            klog.info("server.go:354", "Adding debug handlers to kubelet server")
        if read_only := int(config.at("readOnlyPort") or 0):
            klog.info("server.go:227", "Starting to listen read-only", address=address, port=read_only)
            await self._listen(serve(self._handle_read_only, address, read_only), f"{address}:{read_only}")

    async def _listen(self, served: Awaitable[Server], where: str) -> bool:
        try:
            self._servers.append(await served)
        except OSError as error:
            klog.error(
                "server.go:209", "Failed to listen and serve", err=f"listen tcp {where}: bind: {errno_text(error)}"
            )
            self._deps.fatal(1)
            return False
        return True

    async def stop(self) -> None:
        """Close every connection."""
        for server in self._servers:
            server.close()
            await server.wait_closed()

    async def _handle_read_only(self, request: Request) -> Answer:
        """Without TLS nobody is known: only what upstream installs without an authorizer is there."""
        if request.path.split("/")[1] not in _READ_ONLY:
            return text(404, NOT_FOUND)
        return await self._dispatch(request)

    async def _handle(self, request: Request) -> Answer:
        if not routes.known(request.path):
            return text(404, NOT_FOUND)
        word = request.path.split("/")[1]
        began = time.monotonic()
        labels = routes.metric_labels(request.method, request.path)
        observed.http_requests.add(*labels)
        observed.http_inflight.add(*labels)
        try:
            return await self._answer(request, word)
        finally:
            observed.http_inflight.add(*labels, amount=-1)
            observed.http_seconds.add(time.monotonic() - began, *labels)

    async def _answer(self, request: Request, word: str) -> Answer:
        refusal = await self._refuse(request)
        if refusal is not None:
            return refusal
        return await self._dispatch(request)

    async def _dispatch(self, request: Request) -> Answer:
        word = request.path.split("/")[1]
        if word not in self._handlers:
            return text(404, NO_ROUTE)
        methods, handler = self._handlers[word]
        if not self._debug and word in ("containerLogs", "exec", "attach", "portForward", "run", "logs", "runningpods"):
            return text(405, "Debug endpoints are disabled.")
        if methods and request.method not in methods:
            return text(405, "405: Method Not Allowed")
        try:
            return await handler(request, [p for p in request.path.split("/")[2:] if p])
        except RpcError as error:
            return text(500, str(error))
        except BodyTooLargeError as error:
            return text(413, str(error))

    async def _refuse(self, request: Request) -> Response | None:
        """401 or 403 for who may not; None for who may."""
        peer = request.peer
        bearer = ""
        for name, value in request.headers:
            if name == "authorization" and value[:7].lower() == "bearer ":
                bearer = value[7:].strip()
        user = await self._auth.authenticate(peer.cn if peer else "", peer.organizations if peer else (), bearer)
        if user is None:
            return text(401, "Unauthorized")
        verb, subresources = routes.verb(request.method), routes.subresources(request.path)
        shown = f"user={user.name}, verb={verb}, resource=nodes, subresource(s)=[{' '.join(subresources)}]"
        try:
            allowed = await self._auth.allowed(user, verb, subresources)
        except AuthorizationError as error:
            klog.error("server.go:349", "Authorization error", err=error, user=user.name, verb=verb, resource="nodes")
            return text(500, f"Authorization error ({shown})\n")
        return None if allowed else text(403, f"Forbidden ({shown})\n")

    # Health, configuration, pods, figures.

    async def _healthz(self, request: Request, rest: list[str]) -> Answer:
        if rest and (rest[0] not in CHECKS or len(rest) > 1):
            return text(404, NOT_FOUND)
        for name in rest or CHECKS:
            self._metrics.checked(name)
        if rest or "verbose" not in request.query:
            return text(200, "ok")
        return text(200, "".join(f"[+]{c} ok\n" for c in CHECKS) + "healthz check passed\n")

    async def _configz(self, _request: Request, rest: list[str]) -> Answer:
        if rest:
            return text(404, NOT_FOUND)
        return _json(self._deps.config.configz())

    async def _pod_list(self, _request: Request, rest: list[str]) -> Answer:
        if rest:
            return text(404, NO_ROUTE)
        items = [{k: v for k, v in p.items() if k not in ("kind", "apiVersion")} for p in self._pods.pods()]
        return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def _running_pods(self, _request: Request, rest: list[str]) -> Answer:
        if rest:
            return text(404, NO_ROUTE)
        items = []
        for status in self._pods.pleg.cache.values():
            containers = [{"name": c.name, "image": c.image_id, "resources": {}} for c in status.running()]
            metadata = {"name": status.name, "namespace": status.namespace, "uid": status.uid}
            items.append({"metadata": metadata, "spec": {"containers": containers or None}, "status": {}})
        return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def _metric(self, _request: Request, rest: list[str]) -> Answer:
        pages = {
            "": self._metrics.kubelet, "cadvisor": self._metrics.cadvisor, "resource": self._metrics.resource,
            "probes": self._metrics.probes, "slis": self._metrics.slis,
        }  # fmt: skip
        found = pages.get("/".join(rest))
        if found is None:
            return text(404, NOT_FOUND)
        return Response(200, [PROMETHEUS], (await found()).encode())

    async def _stats(self, _request: Request, rest: list[str]) -> Answer:
        if rest != ["summary"]:
            return text(404, NO_ROUTE)
        body = json.dumps(await self._summary.collect(), indent=1).encode()
        return Response(200, [JSON], body)

    # Logs.

    async def _log_files(self, request: Request, _rest: list[str]) -> Answer:
        file = varlog.resolve(request.path.removeprefix("/logs"))
        if file is None:
            return text(404, NOT_FOUND)
        if file.is_dir():
            return Response(200, [("content-type", "text/html; charset=utf-8")], varlog.listing(file))
        return Response(200, [TEXT], varlog.content(file))

    async def _container_logs(self, request: Request, rest: list[str]) -> Answer:
        if len(rest) != 3:
            return text(404, NO_ROUTE)
        namespace, name, container = rest
        try:
            options = containerlogs.parse_options(request.query, time.time())
            pod, wanted, path = self._log_file(namespace, name, container, options.previous)
        except containerlogs.LogError as error:
            return text(error.status, str(error))

        def running() -> bool:
            now = self._find_status(pod, lambda c: c.id == wanted)
            return now is not None and now.state == rs.RUNNING

        return Response(200, [TEXT], containerlogs.read_log(path, options, running))

    def _log_file(self, namespace: str, name: str, container: str, previous: bool) -> tuple[objects.Pod, str, Path]:
        """(pod, container id, log file). Raises LogError."""
        pod = self._pods.find(namespace, name)
        if pod is None:
            raise containerlogs.LogError(404, f"pod {q(name)} does not exist")
        if objects.find_container(pod, container) is None:
            raise containerlogs.LogError(404, f"container {q(container)} not found in pod {q(name)}")
        wanted = containerlogs.container_to_read(pod.get("status") or {}, container, name, previous)
        found = self._find_status(pod, lambda c: c.id == wanted)
        if found is None or not Path(found.log_path).exists():
            raise containerlogs.LogError(400, f"unable to retrieve container logs for containerd://{wanted}")
        return pod, wanted, Path(found.log_path)

    def _find_status(self, pod: objects.Pod, wanted: Callable[[rs.ContainerStatus], bool]) -> rs.ContainerStatus | None:
        status = self._pods.pleg.cache.get(objects.uid(pod))
        return next((c for c in status.containers if wanted(c)), None) if status else None

    # Streams and commands.

    def _target(self, rest: list[str]) -> tuple[objects.Pod, rs.ContainerStatus] | Response:
        """The pod and running container that /exec, /attach and /run paths name."""
        if len(rest) not in (3, 4):
            return text(404, NO_ROUTE)
        pod = self._pods.find(rest[0], rest[1], rest[2] if len(rest) == 4 else "")
        if pod is None:
            return text(404, "pod does not exist")
        name = rest[-1]
        found = self._find_status(pod, lambda c: c.name == name and c.state == rs.RUNNING)
        if found is None:
            return text(500, f"container not found ({q(name)})")
        return pod, found

    async def _exec(self, request: Request, rest: list[str]) -> Answer:
        wanted = self._stream_target(request, rest)
        if isinstance(wanted, Response):
            return wanted
        flags, _, container = wanted
        command = request.query.get("command", [])
        url = await self._deps.cri.exec(pb.ExecRequest(container_id=container.id, cmd=command, **flags))
        return Hijack(streaming.pass_through(url, request.method, request.headers))

    async def _attach(self, request: Request, rest: list[str]) -> Answer:
        wanted = self._stream_target(request, rest)
        if isinstance(wanted, Response):
            return wanted
        flags, pod, container = wanted
        spec = objects.find_container(pod, container.name) or {}
        flags["tty"] = bool(spec.get("tty"))
        flags["stderr"] = flags["stderr"] and not flags["tty"]
        url = await self._deps.cri.attach(pb.AttachRequest(container_id=container.id, **flags))
        return Hijack(streaming.pass_through(url, request.method, request.headers))

    def _stream_target(
        self, request: Request, rest: list[str]
    ) -> tuple[dict[str, bool], objects.Pod, rs.ContainerStatus] | Response:
        """The streams asked for, and the pod and container they go to; or why that cannot be."""
        flags = _streams(request)
        if flags is None:
            return text(400, "you must specify at least 1 of stdin, stdout, stderr")
        target = self._target(rest)
        if isinstance(target, Response):
            return target
        if not streaming.wants_upgrade(request.headers):
            return text(500, "Upgrade request required\n")
        return flags, *target

    async def _port_forward(self, request: Request, rest: list[str]) -> Answer:
        if len(rest) not in (2, 3):
            return text(404, NO_ROUTE)
        pod = self._pods.find(rest[0], rest[1], rest[2] if len(rest) == 3 else "")
        if pod is None:
            return text(404, "pod does not exist")
        if not streaming.wants_upgrade(request.headers):
            return text(500, "Upgrade request required\n")
        status = self._pods.pleg.cache.get(objects.uid(pod))
        sandbox = next((s for s in status.sandboxes if s.ready), None) if status else None
        if sandbox is None:
            return text(500, f"failed to find sandbox for pod {q(objects.described(pod))}")
        ports = [int(p) for p in ",".join(request.query.get("port", [])).split(",") if p.isdigit()]
        url = await self._deps.cri.port_forward(pb.PortForwardRequest(pod_sandbox_id=sandbox.id, port=ports))
        return Hijack(streaming.pass_through(url, request.method, request.headers))

    async def _run(self, request: Request, rest: list[str]) -> Answer:
        target = self._target(rest)
        if isinstance(target, Response):
            return target
        reply = await self._deps.cri.exec_sync(target[1].id, request.arg("cmd").split(" "))
        output = bytes(reply.stdout + reply.stderr)
        if reply.exit_code:
            return text(
                500,
                f"command '{request.arg('cmd')}' exited with {reply.exit_code}: {output.decode('utf-8', 'replace')}",
            )
        return Response(200, [TEXT], output)

    async def _debug_flags(self, request: Request, rest: list[str]) -> Answer:
        if rest != ["flags", "v"]:
            return text(404, NO_ROUTE)
        plain = ("content-type", "text/plain")
        if request.method != "PUT":
            return Response(406, [plain], b"unsupported http method\n")
        body = (await request.read(64)).decode("utf-8", "replace").strip()
        try:
            level = int(body)
        except ValueError:
            problem = f"failed set klog.logging.verbosity {body}: strconv.ParseInt: parsing {q(body)}: invalid syntax\n"
            return Response(400, [plain], problem.encode())
        klog.set_verbosity(level)
        return Response(200, [plain], f"successfully set klog.logging.verbosity to {level}\n".encode())


def _json(body: object) -> Response:
    return Response(200, [JSON], json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace"))


def _streams(request: Request) -> dict[str, bool] | None:
    """Which streams and terminal the query asks for; None when it is none."""

    def on(name: str) -> bool:
        return request.arg(name).lower() in ("1", "true")

    flags = {"stdin": on("input"), "stdout": on("output"), "stderr": on("error"), "tty": on("tty")}
    if not (flags["stdin"] or flags["stdout"] or flags["stderr"]):
        return None
    flags["stderr"] = flags["stderr"] and not flags["tty"]
    return flags

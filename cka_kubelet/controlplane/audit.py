"""The audit log: one JSON object a line for each stage of the requests that the policy wants (audit.k8s.io/v1)."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from cka_kubelet.controlplane import protobuf, requestinfo
from cka_kubelet.controlplane.auditpolicy import LEVELS, Policy
from cka_kubelet.controlplane.authn import ANONYMOUS
from cka_kubelet.controlplane.registry import User
from cka_kubelet.controlplane.requestinfo import RequestInfo
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpserver import Handler, Hijack, Request, Response
from cka_kubelet.kube.times import micro_timestamp

Object = dict[str, Any]
_MEGABYTE = 1 << 20
_PROTOBUF = b"k8s\x00"


class LogFile:
    """Lines in a file that is put aside when it has become too large. Sizes in megabytes. Raises OSError."""

    def __init__(self, path: str, max_size: int = 100, backups: int = 100) -> None:
        self._path = Path(path)
        self._most = max_size * _MEGABYTE
        self._backups = backups
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        self._file = self._path.open("ab", buffering=0)

    def __call__(self, line: bytes) -> None:
        """Write one line."""
        if self._most and self._file.tell() + len(line) > self._most:
            self._rotate()
        self._file.write(line)

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}"
        self._path.rename(self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}"))
        old = sorted(self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}"))
        for path in old[: max(len(old) - self._backups, 0)] if self._backups else ():
            path.unlink(missing_ok=True)
        self._file = self._path.open("ab", buffering=0)


class AuditLog:
    """A handler around another one. `authenticate` says who asks; `write` takes a line."""

    def __init__(
        self,
        handler: Handler,
        policy: Policy,
        authenticate: Callable[[Request], User],
        write: Callable[[bytes], object],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._handler = handler
        self._policy = policy
        self._authenticate = authenticate
        self._write = write
        self._now = now

    async def handle(self, request: Request) -> Response | Hijack:
        """Answer as the handler does, and record it."""
        info = requestinfo.parse(request.method, request.path, dict(request.query))
        user = self._user(request)
        level, omit = self._policy.level(user, info)
        if level == "None":
            return await self._handler(request)
        event, sent = self._event(request, info, user, level), list[bytes]()
        self._stage(event, "RequestReceived", omit)
        if LEVELS.index(level) >= LEVELS.index("Request"):
            request._read = _copying(request._read, sent)
        answer = await self._handler(request)
        if isinstance(answer, Hijack):
            self._complete(event, 101, omit, "ResponseStarted")
            return answer
        if sent:
            event["requestObject"] = _object(sent[0])
        if not isinstance(answer.body, bytes):
            self._complete(event, answer.status, omit, "ResponseStarted")
            answer.body = self._to_the_end(answer.body, event, answer.status, omit)
            return answer
        if level == "RequestResponse" and info.is_resource:
            event["responseObject"] = _object(answer.body)
        self._complete(event, answer.status, omit, "ResponseComplete", answer.body)
        return answer

    def _user(self, request: Request) -> User:
        try:
            return self._authenticate(request)
        except StatusError:
            return ANONYMOUS._replace(name="", groups=())

    def _event(self, request: Request, info: RequestInfo, user: User, level: str) -> Object:
        query = f"?{request.raw_query}" if request.raw_query else ""
        event: Object = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": level,
            "auditID": str(uuid.uuid4()),
            "stage": "",
            "requestURI": f"{request.raw_path or request.path}{query}",
            "verb": info.verb,
            "user": {"username": user.name, "groups": list(user.groups)} if user.name else {},
            "sourceIPs": [request.remote.removeprefix("::ffff:")],
            "userAgent": request.header("user-agent"),
        }
        if request.header("impersonate-user"):
            event["impersonatedUser"] = {"username": request.header("impersonate-user")}
        if info.is_resource:
            reference = {
                "resource": info.plural, "namespace": info.namespace, "name": info.name, "apiGroup": info.group,
                "apiVersion": info.version, "subresource": info.subresource,
            }  # fmt: skip
            event["objectRef"] = {key: value for key, value in reference.items() if value}
        event["requestReceivedTimestamp"] = micro_timestamp(self._now())
        return event

    def _stage(self, event: Object, stage: str, omit: tuple[str, ...]) -> None:
        if stage not in omit:
            stamped = {**event, "stage": stage, "stageTimestamp": micro_timestamp(self._now())}
            self._write(json.dumps(stamped, separators=(",", ":")).encode() + b"\n")

    def _complete(self, event: Object, code: int, omit: tuple[str, ...], stage: str, body: bytes = b"") -> None:
        status: Object = {"metadata": {}, "code": code}
        if code >= 400:
            failure = _object(body) or {}
            status |= {key: failure[key] for key in ("status", "message", "reason") if key in failure}
        event["responseStatus"] = status
        if code != 401:
            decision = "forbid" if code == 403 and status.get("reason") == "Forbidden" else "allow"
            event["annotations"] = {"authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": ""}
        self._stage(event, stage, omit)

    async def _to_the_end(
        self, body: AsyncIterator[bytes], event: Object, code: int, omit: tuple[str, ...]
    ) -> AsyncIterator[bytes]:
        try:
            async for chunk in body:
                yield chunk
        finally:
            closer = getattr(body, "aclose", None)
            if closer is not None:
                await closer()
            self._complete(event, code, omit, "ResponseComplete")


def _copying(read: Callable[[int], Any], sent: list[bytes]) -> Callable[[int], Any]:
    async def copy(limit: int) -> bytes:
        data: bytes = await read(limit)
        if data:
            sent.append(data)
        return data

    return copy


def _object(data: bytes) -> Any:
    """The object that was sent as JSON or protobuf, None for anything else."""
    try:
        return protobuf.decode(data) if data.startswith(_PROTOBUF) else json.loads(data)
    except (ValueError, protobuf.DecodeError):
        return None

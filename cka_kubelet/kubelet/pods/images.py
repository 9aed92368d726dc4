"""Images: present, pulled by policy with back-off, or a reason why not."""

import asyncio
import base64
import binascii
import json
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import format_duration
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import objects, podstart, reference
from cka_kubelet.kubelet.pods.backoff import Backoff
from cka_kubelet.kubelet.pods.events import NORMAL, WARNING, PodEvents

INITIAL, LIMIT = 10.0, 300.0
_MB, _GB = 1 << 20, 1 << 30
_SIZES = (
    (0, "0-10MB"), (10 * _MB, "10MB-100MB"), (100 * _MB, "100MB-500MB"), (500 * _MB, "500MB-1GB"), (_GB, "1GB-5GB"),
    (5 * _GB, "5GB-10GB"), (10 * _GB, "10GB-20GB"), (20 * _GB, "20GB-30GB"), (30 * _GB, "30GB-40GB"),
    (40 * _GB, "40GB-60GB"), (60 * _GB, "60GB-100GB"), (100 * _GB, "GT100GB"),
)  # fmt: skip
SecretData = Callable[[str, str], Awaitable[dict[str, Any]]]


class StartError(Exception):
    """A container could not be started: `reason` is the waiting reason, `message` its message.

    `retry_at` (seconds since the epoch) is when a crashed container may start again.
    """

    def __init__(self, reason: str, message: str, retry_at: float | None = None) -> None:
        super().__init__(f"{reason}: {message}")
        self.retry_at = retry_at
        self.reason = reason
        self.message = message


class Image(NamedTuple):
    """An image that is on the machine: the reference to create containers from, and its user."""

    ref: str
    uid: int | None
    user: str


class ImageManager:
    """Makes sure that a container's image is there. One pull at a time with serializeImagePulls.

    `monotonic` counts the back-off's seconds: setting the clock must not prolong it (Go's times do not go back either).
    """

    def __init__(self, cri: CRIClient, events: PodEvents, monotonic: Callable[[], float], serialize: bool) -> None:
        self._cri = cri
        self._events = events
        self._monotonic = monotonic
        self._backoff = Backoff(INITIAL, LIMIT, monotonic)
        self._last_error: dict[str, str] = {}
        self._failed_at: dict[str, float] = {}
        self._serial = asyncio.Lock() if serialize else None

    def forget(self, uid: str) -> None:
        """The pod is gone: drop its back-off."""
        self._backoff.forget(uid)
        for key in [k for k in self._last_error if k.startswith(uid)]:
            del self._last_error[key], self._failed_at[key]

    async def ensure(
        self, pod: objects.Pod, container: objects.Container, sandbox: Any, secret: SecretData | None
    ) -> Image:
        """The image, pulled if the policy says so. Raises StartError with upstream's reason."""
        named = str(container.get("image") or "")
        try:
            name = reference.with_tag(named)
        except reference.ReferenceError_ as error:
            text = f"Failed to apply default image tag {q(named)}: couldn't parse image name {q(named)}: {error}"
            self._events.container(pod, container, WARNING, "InspectFailed", text)
            raise StartError("InvalidImageName", text) from None
        policy = container.get("imagePullPolicy") or default_policy(name)
        present = await self._inspect(pod, container, name, named)
        if present is not None and policy != "Always":
            _count(policy, True, False)
            text = f"Container image {q(named)} already present on machine and can be accessed by the pod"
            self._events.container(pod, container, NORMAL, "Pulled", text)
            return present
        _count(policy, present is not None, policy != "Never")
        if policy == "Never":
            text = f"Container image {q(named)} is not present with pull policy of Never"
            self._events.container(pod, container, WARNING, "ErrImageNeverPull", text)
            raise StartError("ErrImageNeverPull", text)
        return await self._pull(pod, container, name, named, sandbox, secret)

    async def _inspect(self, pod: objects.Pod, container: objects.Container, name: str, named: str) -> Image | None:
        try:
            reply = await self._cri.image_status(pb.ImageSpec(image=name))
        except RpcError as error:
            text = f"Failed to inspect image {q(named)}: {error}"
            self._events.container(pod, container, WARNING, "InspectFailed", text)
            raise StartError("ImageInspectError", text) from None
        if not reply.HasField("image") or not reply.image.id:
            return None
        image = reply.image
        return Image(image.id, image.uid.value if image.HasField("uid") else None, image.username)

    async def _pull(
        self,
        pod: objects.Pod,
        container: objects.Container,
        name: str,
        named: str,
        sandbox: Any,
        secret: SecretData | None,
    ) -> Image:
        key = f"{objects.uid(pod)}_{name}"
        if self._backoff.waiting_since(key, self._failed_at.get(key, 0.0)):
            text = f"Back-off pulling image {q(named)}"
            self._events.container(pod, container, NORMAL, "BackOff", text)
            raise StartError("ImagePullBackOff", f"{text}: ErrImagePull: {self._last_error.get(key, '')}")
        self._events.container(pod, container, NORMAL, "Pulling", f"Pulling image {q(named)}")
        asked = time.monotonic()
        try:
            if self._serial is None:
                began = asked
                image = await self._fetch(pod, name, sandbox, secret)
            else:
                async with self._serial:
                    began = time.monotonic()
                    image = await self._fetch(pod, name, sandbox, secret)
        except RpcError as error:
            self._events.container(pod, container, WARNING, "Failed", f"Failed to pull image {q(named)}: {error}")
            now = self._monotonic()
            self._backoff.next(key, now)
            self._failed_at[key] = now
            self._last_error[key] = str(error)
            raise StartError("ErrImagePull", str(error)) from None
        ended = time.monotonic()
        podstart.pulled(objects.uid(pod), ended - asked)
        observed.pull_seconds.add(ended - asked, size_label(image[1]))
        took, waited = _millis(ended - began), _millis(ended - asked)
        text = f"Successfully pulled image {q(named)} in {took} ({waited} including waiting)."
        self._events.container(pod, container, NORMAL, "Pulled", f"{text} Image size: {image[1]} bytes.")
        return image[0]

    async def _fetch(self, pod: objects.Pod, name: str, sandbox: Any, secret: SecretData | None) -> tuple[Image, int]:
        spec = pb.ImageSpec(image=name)
        auths = await _credentials(pod, name, secret) if secret else []
        try:
            for auth in auths[:-1]:
                try:
                    await self._cri.pull_image(spec, auth, sandbox)
                    break
                except RpcError:
                    continue
            else:
                await self._cri.pull_image(spec, auths[-1] if auths else None, sandbox)
        except RpcError as error:
            klog.error("kuberuntime_image.go:42", "Failed to pull image", err=error, image=name)
            raise
        image = (await self._cri.image_status(spec)).image
        return Image(image.id, image.uid.value if image.HasField("uid") else None, image.username), image.size


def size_label(size: int) -> str:
    """The range of an image's size in bytes, as upstream's metric names it."""
    if not size:
        return "N/A"
    return _SIZES[bisect_left([bound for bound, _ in _SIZES], size) - 1][1]


def _count(policy: str, present: bool, required: bool) -> None:
    observed.image_requests.add(policy.lower(), str(present).lower(), str(required).lower())


def default_policy(name: str) -> str:
    """Always for `:latest`, else IfNotPresent."""
    return "Always" if name.endswith(":latest") else "IfNotPresent"


def _millis(seconds: float) -> str:
    return format_duration(round(seconds, 3))


async def _credentials(pod: objects.Pod, name: str, secret: SecretData) -> list[Any]:
    """The credentials that the pod's imagePullSecrets hold for the image's registry."""
    domain = reference.split_domain(name)[0]
    result = []
    for ref in pod["spec"].get("imagePullSecrets") or []:
        try:
            data = await secret(objects.namespace(pod), ref.get("name", ""))
        except LookupError:
            continue
        result.extend(_auths(data, domain))
    return result


def _auths(data: dict[str, Any], domain: str) -> list[Any]:
    raw = data.get(".dockerconfigjson") or data.get(".dockercfg") or b"{}"
    try:
        config = json.loads(raw)
    except ValueError:
        return []
    found = []
    for host, entry in (config.get("auths", config) or {}).items():
        bare = host.removeprefix("https://").removeprefix("http://").split("/")[0]
        if bare.replace("index.docker.io", "docker.io") != domain or not isinstance(entry, dict):
            continue
        user, password = entry.get("username", ""), entry.get("password", "")
        if not user and entry.get("auth"):
            try:
                user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                continue
        found.append(pb.AuthConfig(username=user, password=password, server_address=domain))
    return found

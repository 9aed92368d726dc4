"""Static pods from a URL (staticPodURL): asked for every httpCheckFrequency, with the headers of staticPodURLHeader."""

import asyncio
import http.client
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from cka_kubelet.kube import goyaml, klog
from cka_kubelet.kube.httpclient import HTTPClient, TransportError
from cka_kubelet.kubelet.pods import manifest, objects

_TIMEOUT = 10.0
_FILE = "http.go"
_LOUD = 3
Update = Callable[[dict[str, objects.Pod]], None]


class URLError(Exception):
    """No pods could be had this time. str() is upstream's message."""


def decode(data: bytes, url: str, node_name: str) -> dict[str, objects.Pod]:
    """The pod, or the pods of a list, that an answer holds, by name. Raises URLError."""
    try:
        body, _ = goyaml.load(data)
        listed = isinstance(body, dict) and body.get("kind") in ("PodList", "List")
        bodies = body.get("items") or [] if listed else [body]
        pods = [manifest.from_body(item, url, node_name, source="http") for item in bodies]
    except (goyaml.YAMLError, manifest.ManifestError) as error:
        if str(error).startswith("invalid pod"):
            raise URLError(str(error)) from error
        text = data.decode("utf-8", "replace")
        raise URLError(
            f"{url}: received '{text}', but couldn't parse as single ({error}) or multiple pods ({error}).\n"
        ) from error
    return {objects.full_name(pod): pod for pod in pods}


class URLPods:
    """Calls `update(pods by name)` after each answer that differs from the one before."""

    def __init__(
        self, url: str, header: Mapping[str, Sequence[str]], node_name: str, frequency: float, update: Update
    ) -> None:
        self._url = url
        self._headers = [(name.lower(), value) for name, values in header.items() for value in values]
        self._node = node_name
        self._frequency = frequency
        self._update = update
        self._data: bytes | None = None
        self._failures = 0

    async def run(self) -> None:
        """Ask for ever, until cancelled."""
        klog.info(f"{_FILE}:56", "Watching URL", v=1, URL=self._url)
        while True:
            await self.ask()
            await asyncio.sleep(self._frequency)

    async def ask(self) -> None:
        """Ask once; the first failures are told, then only at -v=4."""
        try:
            await self._read()
        except URLError as error:
            text = "Failed to read pods from URL"
            if self._failures == _LOUD:
                text += ". Dropping verbosity of this message to V(4)"
            pairs: dict[str, Any] = {"err": str(error)}
            klog.info(f"{_FILE}:64", text, v=4 if self._failures > _LOUD else 0, **pairs)
            self._failures += 1
            return
        if self._failures:
            klog.info(f"{_FILE}:73", "Successfully read pods from URL")
            self._failures = 0

    async def _read(self) -> None:
        parts = urlsplit(self._url)
        context = None
        if parts.scheme == "https":
            context = ssl.create_default_context()
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as Go
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            client = HTTPClient(f"{parts.scheme}://{parts.netloc}", context, user_agent="Go-http-client/1.1")
            answer = await client.request("GET", path, headers=self._headers, timeout=_TIMEOUT)
            client.close_idle()
        except (TransportError, ValueError) as error:
            raise URLError(str(error)) from error
        if answer.status != http.client.OK:
            reason = http.client.responses.get(answer.status, "")
            raise URLError(f"{self._url}: {answer.status} {reason}".rstrip())
        if not answer.body:
            self._update({})
            raise URLError(f"zero-length data received from {self._url}")
        if answer.body != self._data:
            self._data = answer.body
            self._update(decode(answer.body, self._url, self._node))

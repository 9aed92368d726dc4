"""Keeps this kubelet's Node in the API: registration, status every 10 s, the fast loop until the first Ready."""

import asyncio
import copy
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from cka_kubelet.clock import Clock
from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kubelet import noderegister
from cka_kubelet.kubelet.nodestartup import Startup
from cka_kubelet.kubelet.nodestatus import changed, condition, status_patch

Object = dict[str, Any]
SetStatus = Callable[[Object], Awaitable[None]]
"""Fills in a node's status, in place."""

_FILE = "kubelet_node_status.go"
_RETRIES = 5
_FAST_PERIOD, _FAST_LIMIT = 0.1, 120.0
_FIRST_STEP, _MAX_STEP = 0.1, 7.0
_APIError = (StatusError, TransportError)


class NodeKeeper:
    """Registers `initial` and keeps its status.

    `lister` gives the cached Node or None; `set_status` computes the status; `on_pod_cidr` is told the node's CIDRs
    and says whether they changed; `runtime_up` asks the runtime for its status now.
    """

    def __init__(
        self,
        api: APIClient,
        heartbeat: APIClient,
        clock: Clock,
        initial: Object,
        *,
        lister: Callable[[], Object | None],
        set_status: SetStatus,
        on_pod_cidr: Callable[[str], Awaitable[bool]],
        runtime_up: Callable[[], Awaitable[None]],
        update_every: float,
        report_every: float,
        register: bool,
    ) -> None:
        self._api = api
        self._heartbeat = heartbeat
        self._clock = clock
        self._initial = initial
        self._name = str(initial["metadata"]["name"])
        self._lister = lister
        self._set_status = set_status
        self._on_pod_cidr = on_pod_cidr
        self._runtime_up = runtime_up
        self._update_every = update_every
        self._report_every = report_every
        self._register = register
        self._lock = asyncio.Lock()
        self._last_report = float("-inf")
        self._startup = Startup()
        self.registered = asyncio.Event()

    async def run(self) -> None:
        """Sync the status now and then every `update_every` seconds (±4 %)."""
        await self._runtime_up()
        while True:
            await self.sync()
            await asyncio.sleep(self._update_every * (1 + 0.04 * random.random()))  # noqa: S311

    async def sync(self) -> None:
        """Register if that is still to do, then update the status."""
        async with self._lock:
            if self._register:
                await self._register_node()
            await self._update_status()

    async def _register_node(self) -> None:
        if self.registered.is_set():
            return
        step = _FIRST_STEP
        while True:
            await asyncio.sleep(step)
            step = min(step * 2, _MAX_STEP)
            node = copy.deepcopy(self._initial)
            await self._set_status(node)
            self._startup.attempted = self._startup.attempted or time.time()
            klog.info(f"{_FILE}:78", "Attempting to register node", node=self._name)
            if await self._try_register(node):
                klog.info(f"{_FILE}:81", "Successfully registered node", node=self._name)
                self.registered.set()
                return

    async def _try_register(self, node: Object) -> bool:
        try:
            await self._api.create("/api/v1/nodes", node)
        except StatusError as error:
            if error.reason == "AlreadyExists":
                return await self._reconcile(node)
            klog.error(f"{_FILE}:113", "Unable to register node with API server", err=error, node=self._name)
            return False
        except TransportError as error:
            klog.error(f"{_FILE}:113", "Unable to register node with API server", err=error, node=self._name)
            return False
        self._startup.registered = time.time()
        return True

    async def _reconcile(self, node: Object) -> bool:
        path = f"/api/v1/nodes/{self._name}"
        try:
            existing = await self._api.get(path)
        except _APIError as error:
            klog.error(
                f"{_FILE}:121", "Unable to register node with API server, error getting existing node", err=error,
                node=self._name,
            )  # fmt: skip
            return False
        klog.info(f"{_FILE}:128", "Node was previously registered", node=self._name)
        patch = noderegister.reconcile_patch(node, existing)
        if patch is not None:
            try:
                await self._api.patch(path, patch)
            except _APIError as error:
                klog.error(
                    f"{_FILE}:142", "Unable to reconcile node with API server,error updating node", err=error,
                    node=self._name,
                )  # fmt: skip
                return False
        return True

    async def _update_status(self) -> None:
        for attempt in range(_RETRIES):
            try:
                await self._try_update(attempt)
            except _UpdateError as error:
                if attempt > 0:
                    self._api.http.close_idle()
                klog.error(f"{_FILE}:474", "Error updating node status, will retry", err=error)
            else:
                return
        klog.error(f"{_FILE}:461", "Unable to update node status", err="update node status exceeds retry count")

    async def _try_update(self, attempt: int) -> None:
        original = await self._original(attempt)
        node, is_changed = await self._updated(original)
        if is_changed or self._clock.monotonic() - self._last_report >= self._report_every:
            await self._patch(original, node)

    async def _original(self, attempt: int) -> Object:
        """The Node to start from: first the cached one, then what the API server has."""
        if attempt == 0:
            cached = self._lister()
            if cached is None:
                raise _UpdateError(f"error getting node {quote(self._name)}: node {quote(self._name)} not found")
            return cached
        try:
            return await self._heartbeat.get(f"/api/v1/nodes/{self._name}")
        except _APIError as error:
            raise _UpdateError(f"error getting node {quote(self._name)}: {error}") from error

    async def _updated(self, original: Object) -> tuple[Object, bool]:
        """The node with a fresh status, and whether that is worth a patch."""
        node = {**original, "status": copy.deepcopy(original.get("status") or {})}
        cidrs = (original.get("spec") or {}).get("podCIDRs") or []
        cidr_changed = await self._on_pod_cidr(",".join(cidrs)) if cidrs else False
        await self._set_status(node)
        return node, cidr_changed or changed(original.get("status") or {}, node["status"])

    async def _patch(self, original: Object, node: Object) -> None:
        patch = status_patch(original.get("status") or {}, node["status"])
        patch["metadata"] = {"uid": original["metadata"].get("uid")}
        try:
            await self._heartbeat.patch(f"/api/v1/nodes/{self._name}/status", patch)
        except _APIError as error:
            text = json.dumps(patch, separators=(",", ":"))
            raise _UpdateError(f"failed to patch status {quote(text)} for node {quote(self._name)}: {error}") from error
        self._last_report = self._clock.monotonic()
        ready = condition(node["status"], "Ready")
        if ready is not None and ready["status"] == "True":
            self._startup.ready()

    async def fast_until_ready(self) -> None:
        """Every 100 ms, for at most 2 min: report the node as soon as it becomes ready.

        The first look needs no lock: a registration that cannot succeed holds it for ever, and upstream's first look
        comes before that.
        """
        start = self._clock.monotonic()
        if self._lister() is None:
            self._complain_of_lister()
            await asyncio.sleep(_FAST_PERIOD)
        while not await self._fast_update(self._clock.monotonic() - start >= _FAST_LIMIT):  # noqa: ASYNC110
            await asyncio.sleep(_FAST_PERIOD)  # upstream's pace; it shows in the log

    def _complain_of_lister(self) -> None:
        problem = f"node {quote(self._name)} not found"
        klog.error(f"{_FILE}:446", "Error getting the current node from lister", err=problem)

    async def _fast_update(self, timeout: bool) -> bool:
        async with self._lock:
            if timeout:
                klog.error(f"{_FILE}:437", "Node not becoming ready in time after startup")
                return True
            original = self._lister()
            if original is None:
                self._complain_of_lister()
                return False
            ready = condition(original.get("status") or {}, "Ready")
            if ready is not None and ready.get("status") == "True":
                return True
            await self._runtime_up()
            node, is_changed = await self._updated(original)
            now_ready = condition(node["status"], "Ready")
            if not is_changed or now_ready is None or now_ready["status"] != "True":
                return False
            klog.info(f"{_FILE}:480", "Fast updating node status as it just became ready")
            try:
                await self._patch(original, node)
            except _UpdateError as error:
                klog.error(f"{_FILE}:484", "Error updating node status, will retry with syncNodeStatus", err=error)
            else:
                return True
        await self.sync()
        return True


class _UpdateError(Exception):
    """One attempt to update the status failed."""

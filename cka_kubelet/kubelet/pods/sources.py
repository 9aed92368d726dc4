"""Where pods come from: the API server, the manifest directory, the manifest URL; and the mirrors of static pods."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.reflector import Reflector
from cka_kubelet.kubelet.dependencies import Dependencies
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.settings import Settings
from cka_kubelet.kubelet.pods.static import StaticPods

Loop = Callable[[], Coroutine[Any, Any, None]]


class PodSources:
    """What the sources told and nobody has taken yet, in `take()`.

    `mirrors`: mirror pods by full name; `static`: static pods by uid. `wake(uid)` has a pod synced, `nudge(uid)` its
    status looked at; `told()` is called when there is something to take.
    """

    def __init__(
        self,
        deps: Dependencies,
        settings: Settings,
        wake: Callable[[str], None],
        nudge: Callable[[str], None],
        told: Callable[[], None],
    ) -> None:
        self._deps = deps
        self._settings = settings
        self._wake = wake
        self._nudge = nudge
        self._told = told
        self.mirrors: dict[str, objects.Pod] = {}
        self.static: dict[str, objects.Pod] = {}
        self._pending: list[tuple[str, objects.Pod]] = []
        self._api_synced = deps.api is None
        self._manifests: dict[str, dict[str, objects.Pod]] = {}
        used = {"file": settings.static_pod_path, "http": deps.config.get("staticPodURL")}
        self._unlisted = {source for source, where in used.items() if where}

    def loops(self) -> list[tuple[str, Loop]]:
        """What must run, for ever, with names."""
        found: list[tuple[str, Loop]] = []
        settings, config = self._settings, self._deps.config
        if settings.static_pod_path:
            files = StaticPods(
                settings.static_pod_path, settings.node_name, settings.file_check_frequency, self.on_static
            )
            found.append(("static", files.run))
        if config.get("staticPodURL"):
            from cka_kubelet.kubelet.pods.fromurl import URLPods  # few nodes have one

            url = URLPods(
                str(config["staticPodURL"]), config.get("staticPodURLHeader") or {}, settings.node_name,
                config.duration("httpCheckFrequency"), lambda pods: self.on_static(pods, "http"),
            )  # fmt: skip
            found.append(("http", url.run))
        api = self._deps.api
        if api is not None:
            found += [("apiserver", lambda: self._watch(api)), ("mirrors", self._wake_static_once_registered)]
        return found

    def take(self) -> list[tuple[str, objects.Pod]]:
        """What is new since the last time, oldest pod first: (ADDED, MODIFIED or DELETED, pod)."""
        pending, self._pending = self._pending, []
        return sorted(pending, key=lambda p: str(p[1]["metadata"].get("creationTimestamp") or ""))

    def ready(self) -> bool:
        """Whether every source has told all its pods, so that the rest are orphans."""
        return self._api_synced and not self._unlisted

    def static_names(self) -> set[str]:
        """Full names of the static pods that have manifests."""
        return {objects.full_name(p) for p in self.static.values()}

    def mirror_of(self, pod: objects.Pod) -> objects.Pod | None:
        """A static pod's mirror, as the API server has it."""
        return self.mirrors.get(objects.full_name(pod))

    async def _watch(self, api: APIClient) -> None:
        klog.info("apiserver.go:41", "Waiting for node sync before watching apiserver pods")
        await self._deps.node_synced.wait()
        klog.info("apiserver.go:51", "Watching apiserver")
        reflector = Reflector(
            api, "/api/v1/pods", "*v1.Pod",
            name="pkg/kubelet/config/apiserver.go:66",
            on_event=self.on_api, on_synced=self._on_synced,
            fieldSelector=f"spec.nodeName={self._settings.node_name}",
        )  # fmt: skip
        await reflector.run()

    async def _wake_static_once_registered(self) -> None:
        """Mirror pods need the Node's uid, so static pods are synced again as soon as it is known."""
        await self._deps.registered.wait()
        while self._deps.node_getter() is None:  # noqa: ASYNC110  # the informer has no event for "seen": milliseconds
            await asyncio.sleep(0.05)
        for uid in list(self.static):
            self._wake(uid)

    def on_api(self, kind: str, pod: objects.Pod) -> None:
        """The API server told something."""
        pod["metadata"].pop("managedFields", None)
        if objects.is_mirror(pod):
            self._on_mirror(kind, pod)
        else:
            self._pending.append((kind, pod))
        self._told()

    def _on_synced(self) -> None:
        self._api_synced = True
        self._told()

    def _on_mirror(self, kind: str, pod: objects.Pod) -> None:
        name = objects.full_name(pod)
        if kind == "DELETED":
            known = self.mirrors.get(name)
            if known is not None and objects.uid(known) == objects.uid(pod):
                del self.mirrors[name]
        else:
            self.mirrors[name] = pod
        static = next((p for p in self.static.values() if objects.full_name(p) == name), None)
        if static is not None:
            self._nudge(objects.uid(static))
            if kind == "DELETED" or objects.deleted(pod):
                self._wake(objects.uid(static))

    def on_static(self, pods: dict[str, objects.Pod], source: str = "file") -> None:
        """All pods of the manifest directory or URL, by path."""
        self._manifests[source] = pods
        fresh = {objects.uid(p): p for pods in self._manifests.values() for p in pods.values()}
        self._pending += [("DELETED", self.static[uid]) for uid in self.static.keys() - fresh.keys()]
        self._pending += [("ADDED", fresh[uid]) for uid in fresh.keys() - self.static.keys()]
        self.static = fresh
        self._unlisted.discard(source)
        self._told()

"""Gathering what a container's configuration refers to, before it is made."""

from collections.abc import Callable
from typing import Any

from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.env import EnvError, References, service_env
from cka_kubelet.kubelet.pods.starter import Surroundings
from cka_kubelet.kubelet.volumes.manager import Mounted
from cka_kubelet.kubelet.volumes.sources import ObjectSource

Services = Callable[[], list[dict[str, Any]]]


class Surrounder:
    """Callable: pod, container, pod addresses → Surroundings. Raises EnvError while services are not known."""

    def __init__(
        self,
        source: ObjectSource,
        services: Services,
        services_synced: Callable[[], bool],
        host_ips: Callable[[], list[str]],
        allocatable: Callable[[], dict[str, str]],
        volumes: Callable[[str], dict[str, Mounted]],
        node: Callable[[], dict[str, Any] | None],
    ) -> None:
        self._source = source
        self._services = services
        self._services_synced = services_synced
        self._host_ips = host_ips
        self._allocatable = allocatable
        self._volumes = volumes
        self._node = node

    async def __call__(self, pod: objects.Pod, container: objects.Container, ips: list[str]) -> Surroundings:
        found: dict[tuple[str, str], dict[str, bytes] | str] = {}
        for kind, name in references(container):
            try:
                found[kind, name] = await self._source.data(kind, objects.namespace(pod), name)
            except LookupError as error:
                found[kind, name] = str(error.args[0] if error.args else error)

        def lookup(kind: str, name: str) -> dict[str, Any]:
            value = found.get((kind, name), f'{kind} "{name}" not found')
            if isinstance(value, str):
                raise LookupError(value)  # noqa: TRY004  # a text is the reason why it is missing
            return value

        refs = References(
            lookup, self._service_env(pod), ips or self._of_host(pod), self._host_ips(), self._allocatable()
        )
        return Surroundings(refs, self._volumes(objects.uid(pod)), self._secret, self._recursive_read_only(pod))

    def _recursive_read_only(self, pod: objects.Pod) -> bool:
        handler = pod["spec"].get("runtimeClassName") or ""
        offered = ((self._node() or {}).get("status") or {}).get("runtimeHandlers") or []
        features = next((h.get("features") or {} for h in offered if (h.get("name") or "") == handler), {})
        return bool(features.get("recursiveReadOnlyMounts"))

    def _of_host(self, pod: objects.Pod) -> list[str]:
        return self._host_ips() if objects.host_network(pod) else []

    async def _secret(self, namespace: str, name: str) -> dict[str, Any]:
        return dict(await self._source.data("secret", namespace, name))

    def _service_env(self, pod: objects.Pod) -> dict[str, str]:
        if not self._services_synced() and not objects.is_static(pod):
            raise EnvError("services have not yet been read at least once, cannot construct envs")
        links = pod["spec"].get("enableServiceLinks") is not False
        namespace = objects.namespace(pod)
        chosen = []
        for service in self._services():
            where, name = service["metadata"].get("namespace"), service["metadata"]["name"]
            master = where == "default" and name == "kubernetes"
            if master or (links and where == namespace):
                chosen.append(service)
        return service_env(chosen)


def references(container: objects.Container) -> list[tuple[str, str]]:
    """(kind, name) of every ConfigMap and Secret in a container's environment."""
    result = []
    for source in container.get("envFrom") or []:
        if source.get("configMapRef"):
            result.append(("configmap", source["configMapRef"].get("name") or ""))
        elif source.get("secretRef"):
            result.append(("secret", source["secretRef"].get("name") or ""))
    for var in container.get("env") or []:
        value = var.get("valueFrom") or {}
        if value.get("configMapKeyRef"):
            result.append(("configmap", value["configMapKeyRef"].get("name") or ""))
        elif value.get("secretKeyRef"):
            result.append(("secret", value["secretKeyRef"].get("name") or ""))
    return list(dict.fromkeys(result))

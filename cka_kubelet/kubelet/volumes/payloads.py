"""The files of configMap, secret, downwardAPI and projected volumes."""

from collections.abc import Callable
from typing import Any

from cka_kubelet.kube.gofmt import join_errors
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.fields import field_value, resource_value
from cka_kubelet.kubelet.volumes import ownership
from cka_kubelet.kubelet.volumes.sources import ObjectSource
from cka_kubelet.kubelet.volumes.writer import File, Payload


class Payloads:
    """Collects a volume's files. Raises LookupError with the text of the FailedMount event."""

    def __init__(
        self,
        source: ObjectSource,
        host_ips: Callable[[], list[str]],
        allocatable: Callable[[], dict[str, str]],
    ) -> None:
        self._source = source
        self._host_ips = host_ips
        self._allocatable = allocatable

    async def of(self, pod: objects.Pod, kind: str, spec: dict[str, Any]) -> Payload:
        """All files of a volume of type `kind` (configMap, secret, downwardAPI, projected)."""
        mode = _mode(spec, 0o644)
        if kind == "downwardAPI":
            return self._downward(pod, spec, mode)
        if kind == "configMap":
            return await self._data(pod, "configmap", spec.get("name") or "", spec, mode)
        if kind == "secret":
            return await self._data(pod, "secret", spec.get("secretName") or "", spec, mode)
        result: Payload = {}
        missing = []
        for source in spec.get("sources") or []:
            try:
                result.update(await self._projected(pod, source, mode))
            except LookupError as error:
                missing.append(str(error.args[0]))
        if missing:
            raise LookupError(join_errors(missing))
        return result

    async def _projected(self, pod: objects.Pod, source: dict[str, Any], mode: int) -> Payload:
        if source.get("serviceAccountToken"):
            spec = source["serviceAccountToken"]
            token = await self._source.token(
                pod, spec.get("audience") or "", int(spec.get("expirationSeconds") or 3600)
            )
            user = ownership.user_of(pod)
            private = user is not None or ownership.group_of(pod) is not None
            return {spec["path"]: File(token.encode(), 0o600 if private else mode, user)}
        if source.get("downwardAPI"):
            return self._downward(pod, source["downwardAPI"], mode)
        kind = "configmap" if source.get("configMap") else "secret"
        spec = source.get("configMap") or source.get("secret") or {}
        return await self._data(pod, kind, spec.get("name") or "", spec, mode)

    async def _data(self, pod: objects.Pod, kind: str, name: str, spec: dict[str, Any], mode: int) -> Payload:
        try:
            data = await self._source.data(kind, objects.namespace(pod), name)
        except LookupError:
            if spec.get("optional"):
                return {}
            raise
        items = spec.get("items")
        if not items:
            return {k: File(v, mode) for k, v in data.items()}
        result: Payload = {}
        for item in items:
            if item["key"] in data:
                result[item["path"]] = File(data[item["key"]], _mode(item, mode, "mode"))
            elif not spec.get("optional"):
                what = (
                    "configmap references non-existent config key"
                    if kind == "configmap"
                    else "references non-existent secret key"
                )
                raise LookupError(f"{what}: {item['key']}")
        return result

    def _downward(self, pod: objects.Pod, spec: dict[str, Any], mode: int) -> Payload:
        result: Payload = {}
        for item in spec.get("items") or []:
            if item.get("fieldRef"):
                ips = [e["ip"] for e in (pod.get("status") or {}).get("podIPs") or []]
                value = field_value(pod, item["fieldRef"]["fieldPath"], ips, self._host_ips())
            else:
                ref = item["resourceFieldRef"]
                container = objects.find_container(pod, ref["containerName"])
                if container is None:
                    raise LookupError(f"container {ref['containerName']} not found")
                value = resource_value(container, ref["resource"], str(ref.get("divisor") or "0"), self._allocatable())
            result[item["path"]] = File(value.encode(), _mode(item, mode, "mode"))
        return result


def _mode(spec: dict[str, Any], default: int, key: str = "defaultMode") -> int:
    value = spec.get(key)
    return default if value is None else int(value)

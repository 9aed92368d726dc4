"""Endpoints and EndpointSlices of services with a selector."""

import hashlib
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers import workloads
from cka_kubelet.controlplane.controllers.informer import Informer, each, key_of

Object = dict[str, Any]

_SERVICE = "kubernetes.io/service-name"
_MANAGED = "endpointslice.kubernetes.io/managed-by"


class _Backends:
    """Writes who answers for a service into an object of its own. `have`: a cache of those objects."""

    def __init__(self, client: Client, services: Informer, pods: Informer, have: Informer) -> None:
        self._client = client
        self._services = services
        self._pods = pods
        self._have = have

    async def sync(self) -> None:
        """Every service once."""
        await each(self._services.items.values(), self._one)

    async def _one(self, service: Object) -> None:
        selector, (namespace, _) = (service.get("spec") or {}).get("selector"), key_of(service)
        if not selector:
            return
        found = (pod for pod in self._pods.items.values() if _backs(pod, namespace, selector))
        pods = sorted(found, key=key_of)
        ports = [_port(port, pods) for port in service["spec"].get("ports") or ()]
        await self._write(service, pods, [port for port in ports if port is not None])

    async def _write(self, service: Object, pods: list[Object], ports: list[Object]) -> None:
        raise NotImplementedError

    async def _put(self, path: str, obj: Object, *keys: str) -> None:
        name = obj["metadata"]["name"]
        old = self._have.get(obj["metadata"]["namespace"], name)
        if old is None:
            await self._client.create(path, obj)
        elif any((old.get(key) or []) != (obj.get(key) or []) for key in keys):
            await self._client.update(f"{path}/{name}", {**old, **{key: obj[key] for key in keys}})


class Endpoints(_Backends):
    """Endpoints of services with a selector."""

    async def _write(self, service: Object, pods: list[Object], ports: list[Object]) -> None:
        namespace, name = key_of(service)
        ready = [pod for pod in pods if workloads.is_ready(pod)]
        others = [pod for pod in pods if not workloads.is_ready(pod)]
        subset: Object = {"ports": ports}
        if ready:
            subset["addresses"] = [_address(pod) for pod in ready]
        if others:
            subset["notReadyAddresses"] = [_address(pod) for pod in others]
        endpoints = {"metadata": {"name": name, "namespace": namespace}, "subsets": [subset] if pods else []}
        await self._put(f"/api/v1/namespaces/{namespace}/endpoints", endpoints, "subsets")


class EndpointSlices(_Backends):
    """EndpointSlices of services with a selector, one for each."""

    async def _write(self, service: Object, pods: list[Object], ports: list[Object]) -> None:
        namespace, name = key_of(service)
        suffix = hashlib.sha256(service["metadata"]["uid"].encode()).hexdigest()[:5]
        slice_ = {
            "metadata": {
                "name": f"{name}-{suffix}",
                "namespace": namespace,
                "labels": {_SERVICE: name, _MANAGED: "endpointslice-controller.k8s.io"},
                "ownerReferences": [workloads.owner_reference(service)],
            },
            "addressType": "IPv4",
            "endpoints": [_endpoint(pod, ready=workloads.is_ready(pod)) for pod in pods],
            "ports": [{"name": "", **port} for port in ports],  # kubectl describe trips over a missing name
        }
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        await self._put(path, slice_, "endpoints", "ports")


def _endpoint(pod: Object, *, ready: bool) -> Object:
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": _target(pod),
    }


def _backs(pod: Object, namespace: str, selector: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    matching = all(labels.get(key) == value for key, value in selector.items())
    address = (pod.get("status") or {}).get("podIP")
    return bool(matching and address and pod["metadata"]["namespace"] == namespace and workloads.is_active(pod))


def _port(port: Object, pods: list[Object]) -> Object | None:
    target = port.get("targetPort", port.get("port"))
    if isinstance(target, str):
        containers = [item for pod in pods for item in pod["spec"].get("containers") or ()]
        named = (entry for item in containers for entry in item.get("ports") or () if entry.get("name") == target)
        target = next((entry.get("containerPort") for entry in named), None)
    if target is None:
        return None
    result = {"port": target, "protocol": port.get("protocol", "TCP")}
    return {"name": port["name"], **result} if port.get("name") else result


def _target(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {"kind": "Pod", "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}


def _address(pod: Object) -> Object:
    return {"ip": pod["status"]["podIP"], "nodeName": pod["spec"].get("nodeName"), "targetRef": _target(pod)}

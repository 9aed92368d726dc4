"""A container's environment: services, envFrom, env with its references, and $(VAR) expansion. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.fields import field_value, resource_value

Lookup = Callable[[str, str], dict[str, Any]]


class EnvError(Exception):
    """The environment cannot be made; the text is the container's waiting message (CreateContainerConfigError)."""


def expand(text: str, values: dict[str, str]) -> str:
    """Replace $(NAME) by its value; `$$` stands for `$`; unknown names stay as they are."""
    out: list[str] = []
    i = 0
    while i < len(text):
        if text[i] != "$" or i + 1 >= len(text):
            out.append(text[i])
            i += 1
        elif text[i + 1] == "$":
            out.append("$")
            i += 2
        elif text[i + 1] == "(" and (end := text.find(")", i + 2)) >= 0:
            word = text[i + 2 : end]
            out.append(values.get(word, f"$({word})"))
            i = end + 1
        else:
            out.append(text[i])
            i += 1
    return "".join(out)


def service_env(services: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The docker-links style variables of services (pkg/kubelet/envvars)."""
    env: dict[str, str] = {}
    for service in services:
        spec = service["spec"]
        address = spec.get("clusterIP")
        ports = spec.get("ports") or []
        if not address or address == "None" or not ports:
            continue
        prefix = service["metadata"]["name"].upper().replace("-", "_")
        env[f"{prefix}_SERVICE_HOST"] = address
        env[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                env[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
        _links(env, prefix, address, ports)
    return env


def _links(env: dict[str, str], prefix: str, address: str, ports: list[dict[str, Any]]) -> None:
    for index, port in enumerate(ports):
        protocol = port.get("protocol") or "TCP"
        url = f"{protocol.lower()}://{address}:{port['port']}"
        if index == 0:
            env[f"{prefix}_PORT"] = url
        base = f"{prefix}_PORT_{port['port']}_{protocol}"
        env[base] = url
        env[f"{base}_PROTO"] = protocol.lower()
        env[f"{base}_PORT"] = str(port["port"])
        env[f"{base}_ADDR"] = address


class References:
    """What references in an environment may ask for. `lookup(kind, name)` gives the ConfigMap or Secret in the pod's
    namespace, raises LookupError(message) when it is absent."""

    __slots__ = ("allocatable", "host_ips", "lookup", "pod_ips", "services")

    def __init__(
        self,
        lookup: Lookup,
        services: dict[str, str],
        pod_ips: list[str],
        host_ips: list[str],
        allocatable: dict[str, str],
    ) -> None:
        self.lookup = lookup
        self.services = services
        self.pod_ips = pod_ips
        self.host_ips = host_ips
        self.allocatable = allocatable


def make_env(pod: objects.Pod, container: objects.Container, refs: References) -> dict[str, str]:
    """All variables of the container, in upstream's precedence. Raises EnvError."""
    result: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        _from(result, source, refs, objects.namespace(pod))
    local = {**refs.services, **result}
    for var in container.get("env") or []:
        if var.get("valueFrom"):
            value = _value_from(var["valueFrom"], pod, container, refs)
            if value is None:
                continue
        else:
            value = expand(str(var.get("value") or ""), local)
        result[var["name"]] = local[var["name"]] = value
    for name, value in refs.services.items():
        result.setdefault(name, value)
    return result


def _from(result: dict[str, str], source: dict[str, Any], refs: References, _namespace: str) -> None:
    kind = "configmap" if source.get("configMapRef") else "secret"
    ref = source.get("configMapRef") or source.get("secretRef") or {}
    try:
        data = refs.lookup(kind, ref.get("name", ""))
    except LookupError as error:
        if ref.get("optional"):
            return
        raise EnvError(str(error)) from None
    for key, value in data.items():
        result[f"{source.get('prefix') or ''}{key}"] = (
            value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
        )


def _value_from(source: dict[str, Any], pod: objects.Pod, container: objects.Container, refs: References) -> str | None:
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"], refs.pod_ips, refs.host_ips)
    if "resourceFieldRef" in source:
        ref = source["resourceFieldRef"]
        owner = objects.find_container(pod, ref["containerName"]) if ref.get("containerName") else container
        if owner is None:
            raise EnvError(f"container {ref['containerName']} not found")
        return resource_value(owner, ref["resource"], str(ref.get("divisor") or "0"), refs.allocatable)
    kind = "configmap" if "configMapKeyRef" in source else "secret"
    ref = source.get("configMapKeyRef") or source.get("secretKeyRef") or {}
    return _key(kind, ref, pod, refs)


def _key(kind: str, ref: dict[str, Any], pod: objects.Pod, refs: References) -> str | None:
    try:
        data = refs.lookup(kind, ref["name"])
    except LookupError as error:
        if ref.get("optional"):
            return None
        raise EnvError(str(error)) from None
    if ref["key"] not in data:
        if ref.get("optional"):
            return None
        shown = "ConfigMap" if kind == "configmap" else "Secret"
        raise EnvError(f"couldn't find key {ref['key']} in {shown} {objects.namespace(pod)}/{ref['name']}")
    value = data[ref["key"]]
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")

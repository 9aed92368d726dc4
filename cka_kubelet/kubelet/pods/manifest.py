"""A static pod's manifest: parsed, defaulted and validated, with upstream's words for what is wrong."""

import re
import time
from typing import Any

from cka_kubelet.kube import goyaml
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kube.gofmt import to_json
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.apireferences import api_reference

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_SCHEME = "pkg/api/legacyscheme/scheme.go:30"


class ManifestError(Exception):
    """The file is no pod; the text is upstream's."""


def parse(data: bytes, path: str, node_name: str) -> objects.Pod:
    """The static pod that the file describes. Raises ManifestError."""
    try:
        body, _ = goyaml.load(data)
        _check_kind(body)
    except (goyaml.YAMLError, ManifestError) as error:
        raise ManifestError(f"{path}: couldn't parse as pod({error}), please check config file") from None
    return from_body(body, path, node_name)


def from_body(body: Any, path: str, node_name: str, source: str = "file") -> objects.Pod:
    """The static pod that a decoded manifest describes; `source` is file or http. Raises ManifestError."""
    _check_kind(body)
    if not (body.get("metadata") or {}).get("name"):
        raise ManifestError("invalid pod: name is needed for the pod")
    pod = default(body, path, node_name, source)
    errors = validate(pod)
    if errors:
        raise ManifestError(f"invalid pod: [{' '.join(errors)}]")
    if referred := api_reference(pod["spec"]):
        raise ManifestError(f"static pods may not reference {referred}")
    return pod


def _check_kind(body: Any) -> None:
    if not isinstance(body, dict):
        if isinstance(body, str):
            raise ManifestError(
                "couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type "
                'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; '
                'Kind string "json:\\"kind,omitempty\\"" }'
            )
        raise ManifestError(f"Object 'Kind' is missing in '{to_json(body)}'")
    kind, version = body.get("kind"), body.get("apiVersion")
    if not kind:
        raise ManifestError(f"Object 'Kind' is missing in '{to_json(body)}'")
    if not version:
        raise ManifestError(f"Object 'apiVersion' is missing in '{to_json(body)}'")
    if kind != "Pod" or version != "v1":
        raise ManifestError(
            f"no kind {q(str(kind))} is registered for version {q(str(version))} in scheme {q(_SCHEME)}"
        )
    for field, expected, go in (("metadata", dict, "v1.ObjectMeta"), ("spec", dict, "v1.PodSpec")):
        value = body.get(field)
        if value is not None and not isinstance(value, expected):
            raise ManifestError(_wrong(value, f"Pod.{field}", go))
    spec = body.get("spec") or {}
    for field in ("containers", "initContainers", "volumes"):
        value = spec.get(field)
        if value is not None and not isinstance(value, list):
            raise ManifestError(
                _wrong(value, f"PodSpec.spec.{field}", "[]v1.Volume" if field == "volumes" else "[]v1.Container")
            )


def _wrong(value: object, field: str, go: str) -> str:
    shown = {str: "string", list: "array", dict: "object", bool: "bool", int: "number", float: "number"}[type(value)]
    return (
        'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal '
        f"{shown} into Go struct field {field} of type {go}"
    )


def default(body: dict[str, Any], path: str, node_name: str, source: str = "file") -> objects.Pod:
    """The pod with what config.applyDefaults adds (name, node, uid, annotations …) and the API's own defaults."""
    from cka_kubelet.kubelet.pods.static import static_uid

    metadata = dict(body.get("metadata") or {})
    spec = dict(body.get("spec") or {})
    if not metadata.get("uid"):
        metadata["uid"] = static_uid(node_name, path, body, source)
    if metadata.get("name"):
        metadata["name"] = f"{metadata['name']}-{node_name.lower()}"
    metadata.setdefault("namespace", "default")
    seconds, nanos = divmod(time.time_ns(), 10**9)
    seen = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanos:09d}".rstrip("0").rstrip(".") + "Z"
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        objects.HASH: metadata["uid"],
        objects.SEEN: seen,
        objects.SOURCE: source,
    }
    spec["nodeName"] = node_name
    spec["tolerations"] = [*(spec.get("tolerations") or []), {"effect": "NoExecute", "operator": "Exists"}]
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def validate(pod: objects.Pod) -> list[str]:
    """What is wrong with the pod, as field.ErrorList prints it."""
    errors: list[str] = []
    name = pod["metadata"].get("name") or ""
    if not name:
        errors.append("metadata.name: Required value: name or generateName is required")
    elif not _SUBDOMAIN.match(name):
        errors.append(f"metadata.name: Invalid value: {q(name)}: {_SUBDOMAIN_TEXT}")
    namespace = pod["metadata"].get("namespace") or ""
    if not _LABEL.match(namespace):
        errors.append(f"metadata.namespace: Invalid value: {q(namespace)}: {_LABEL_TEXT}")
    spec = pod["spec"]
    volumes = _volumes(spec, errors)
    if not spec.get("containers"):
        errors.append("spec.containers: Required value")
    seen: set[str] = set()
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or []):
            _container(container, f"spec.{field}[{index}]", seen, volumes, errors)
    _one_of(spec, "restartPolicy", ("Always", "OnFailure", "Never"), "spec.restartPolicy", errors)
    _one_of(spec, "dnsPolicy", ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"), "spec.dnsPolicy", errors)
    return errors


def _volumes(spec: dict[str, Any], errors: list[str]) -> set[str]:
    names: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or []):
        name, path = str(volume.get("name") or ""), f"spec.volumes[{index}].name"
        if not name:
            errors.append(f"{path}: Required value")
        elif not _LABEL.match(name):
            errors.append(f"{path}: Invalid value: {q(name)}: {_LABEL_TEXT}")
        elif name in names:
            errors.append(f"{path}: Duplicate value: {q(name)}")
        names.add(name)
        if "hostPath" in volume and not (volume["hostPath"] or {}).get("path"):
            errors.append(f"spec.volumes[{index}].hostPath.path: Required value")
    return names


def _container(container: dict[str, Any], path: str, seen: set[str], volumes: set[str], errors: list[str]) -> None:
    name = str(container.get("name") or "")
    container["name"] = name
    if not name:
        errors.append(f"{path}.name: Required value")
    elif not _LABEL.match(name) or len(name) > 63:
        errors.append(f"{path}.name: Invalid value: {q(name)}: {_LABEL_TEXT}")
    elif name in seen:
        errors.append(f"{path}.name: Duplicate value: {q(name)}")
    seen.add(name)
    if not container.get("image"):
        errors.append(f"{path}.image: Required value")
    for index, mount in enumerate(container.get("volumeMounts") or []):
        mounted = str(mount.get("name") or "")
        if not mounted:
            errors.append(f"{path}.volumeMounts[{index}].name: Required value")
        elif mounted not in volumes:
            errors.append(f"{path}.volumeMounts[{index}].name: Not found: {q(mounted)}")
        if not mount.get("mountPath"):
            errors.append(f"{path}.volumeMounts[{index}].mountPath: Required value")
    _one_of(container, "imagePullPolicy", ("Always", "IfNotPresent", "Never"), f"{path}.imagePullPolicy", errors)


def _one_of(where: dict[str, Any], key: str, allowed: tuple[str, ...], path: str, errors: list[str]) -> None:
    value = where.get(key)
    if value is not None and value not in allowed:
        choices = ", ".join(q(a) for a in sorted(allowed))
        errors.append(f"{path}: Unsupported value: {q(str(value))}: supported values: {choices}")

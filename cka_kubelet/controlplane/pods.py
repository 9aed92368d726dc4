"""What the API server fills into a pod (`pkg/apis/core/v1/defaults.go`) and refuses in one."""

import hashlib
import re
from typing import Any

from cka_kubelet.kube.apistatus import Cause

Object = dict[str, Any]

_TOLERATE_SECONDS = 300
_DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def default_spec(spec: Object) -> None:
    """Fill a PodSpec in place; templates of Deployments get the same."""
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        _default_container(container)
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if "serviceAccountName" in spec:
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    elif "serviceAccount" in spec:
        spec["serviceAccountName"] = spec["serviceAccount"]
    for volume in spec.get("volumes") or ():
        _default_volume(volume)
    if spec.get("hostNetwork"):
        for container in spec.get("containers") or ():
            for port in container.get("ports") or ():
                port.setdefault("hostPort", port.get("containerPort"))


def _default_container(container: Object) -> None:
    image = str(container.get("image", ""))
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    always = "@" not in image and tag in ("", "latest")
    container.setdefault("imagePullPolicy", "Always" if always else "IfNotPresent")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    resources = container["resources"]
    if resources.get("limits"):
        resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name):
            _default_probe(container[name])
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")


def _default_probe(probe: Object) -> None:
    for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(key):
            probe[key] = value
    if "httpGet" in probe:
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _default_volume(volume: Object) -> None:
    for source in ("secret", "configMap", "downwardAPI"):
        if source in volume:
            volume[source].setdefault("defaultMode", 420)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    projected = volume.get("projected")
    if projected is not None:
        projected.setdefault("defaultMode", 420)
        for source in projected.get("sources") or ():
            if "serviceAccountToken" in source:
                source["serviceAccountToken"].setdefault("expirationSeconds", 3600)


def admit(pod: Object, priorities: dict[str, int]) -> None:
    """What admission plugins add to a new pod: service account, its token, tolerations, priority."""
    spec = pod["spec"]
    mirror = "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {})
    if not mirror:
        spec.setdefault("serviceAccountName", "default")
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
        if spec.get("automountServiceAccountToken", True):
            _mount_token(pod)
    _default_tolerations(spec)
    name = spec.get("priorityClassName", "")
    spec["priority"] = priorities.get(name, 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("enableServiceLinks", True)


def _default_tolerations(spec: Object) -> None:
    have = spec.get("tolerations") or []
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        covered = any(
            toleration.get("key") in (key, None, "") and toleration.get("effect") in ("NoExecute", None, "")
            for toleration in have
            if toleration.get("key") or toleration.get("operator") == "Exists"
        )
        if not covered:
            toleration = {"key": key, "operator": "Exists", "effect": "NoExecute"}
            have = [*have, {**toleration, "tolerationSeconds": _TOLERATE_SECONDS}]
    spec["tolerations"] = have


def _mount_token(pod: Object) -> None:
    spec, path = pod["spec"], "/var/run/secrets/kubernetes.io/serviceaccount"
    volumes = spec.setdefault("volumes", [])
    seed = f"{pod['metadata'].get('uid', '')}{pod['metadata'].get('name', '')}"
    name = next((volume["name"] for volume in volumes if volume["name"].startswith("kube-api-access-")), "")
    name = name or f"kube-api-access-{random_suffix(seed)}"
    used = False
    for container in [*(spec.get("initContainers") or ()), *spec["containers"]]:
        mounts = container.setdefault("volumeMounts", [])
        if not any(mount.get("mountPath") == path for mount in mounts):
            mounts.append({"name": name, "readOnly": True, "mountPath": path})
            used = True
    if used and not any(volume["name"] == name for volume in volumes):
        namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
        sources = [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [namespace]}},
        ]
        volumes.append({"name": name, "projected": {"sources": sources, "defaultMode": 420}})


def random_suffix(seed: str) -> str:
    """Five characters from the alphabet of generated names, derived from `seed`."""
    alphabet = "bcdfghjklmnpqrstvwxz2456789"
    digest = hashlib.sha256(seed.encode()).digest()
    return "".join(alphabet[byte % len(alphabet)] for byte in digest[:5])


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort (`pkg/apis/core/v1/helper/qos`)."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    resources = [container.get("resources") or {} for container in containers]
    named = [
        {name for name in (entry.get(side) or {}) if name in ("cpu", "memory")}
        for entry in resources
        for side in ("requests", "limits")
    ]
    if not any(named):
        return "BestEffort"
    for entry in resources:
        limits, requests = entry.get("limits") or {}, entry.get("requests") or {}
        if not {"cpu", "memory"} <= set(limits) or any(
            requests.get(n, limits[n]) != limits[n] for n in ("cpu", "memory")
        ):
            return "Burstable"
    return "Guaranteed"


def problems(spec: Object, field: str = "spec") -> list[Cause]:
    """Why the PodSpec is refused, upstream's words; empty when it is fine."""
    found: list[Cause] = []
    containers = spec.get("containers") or []
    if not containers:
        found.append(Cause("FieldValueRequired", "Required value", f"{field}.containers"))
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    seen: set[str] = set()
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            found += _container_problems(container, f"{field}.{group}[{index}]", volumes, seen)
    policy = spec.get("restartPolicy", "Always")
    if policy not in ("Always", "OnFailure", "Never"):
        text = f'Unsupported value: "{policy}": supported values: "Always", "OnFailure", "Never"'
        found.append(Cause("FieldValueNotSupported", text, f"{field}.restartPolicy"))
    return found


def _container_problems(container: Object, field: str, volumes: set[Any], seen: set[str]) -> list[Cause]:
    found: list[Cause] = []
    name = container.get("name", "")
    if not name:
        found.append(Cause("FieldValueRequired", "Required value", f"{field}.name"))
    elif not _DNS_LABEL.match(name):
        found.append(Cause("FieldValueInvalid", f'Invalid value: "{name}": {_LABEL_TEXT}', f"{field}.name"))
    elif name in seen:
        found.append(Cause("FieldValueDuplicate", f'Duplicate value: "{name}"', f"{field}.name"))
    seen.add(name)
    if not container.get("image"):
        found.append(Cause("FieldValueRequired", "Required value", f"{field}.image"))
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            where = f"{field}.volumeMounts[{index}].name"
            found.append(Cause("FieldValueNotFound", f'Not found: "{mount.get("name")}"', where))
    return found

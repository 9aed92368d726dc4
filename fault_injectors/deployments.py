"""A Deployment's pods are described wrongly. `deployment` and `namespace` say whose."""

import copy
from collections.abc import Sequence
from typing import Any

from cka_kubelet.faults import Absent, Context, Parameter, PatchObject, PutObject, Step

_WHOSE = (Parameter("deployment", "web", "whose pods"), Parameter("namespace", "default", "where it is"))


def _found(context: Context) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The Deployment's path, its pods' spec and the first container in it, both to be changed freely."""
    where = f"/apis/apps/v1/namespaces/{context.parameters['namespace']}/deployments"
    path = f"{where}/{context.parameters['deployment']}"
    body = context.object(path)
    if body is None:
        raise ValueError(f"there is no {path}")
    spec = copy.deepcopy(body["spec"]["template"]["spec"])
    return path, spec, spec["containers"][0]


def _with(path: str, **spec: Any) -> Sequence[Step]:
    return (PatchObject(path, {"spec": {"template": {"spec": spec}}}),)


class ImageMisspelt:
    """Misspell the image's name or tag."""

    name = "image-misspelt"
    parameters = (*_WHOSE, Parameter("image", "", "the wrong image; empty chooses a misspelt one"))

    def steps(self, context: Context) -> Sequence[Step]:
        path, spec, container = _found(context)
        name, _, tag = str(container["image"]).rpartition(":")
        wrong = (
            f"{name}:{tag[::-1]}",
            f"{name[:-1]}:{tag}",
            f"{name}:v{tag}",
            f"{name[:-2]}{name[-1]}{name[-2]}:{tag}",
        )
        container["image"] = str(context.parameters["image"] or context.random.choice(wrong))
        return _with(path, containers=spec["containers"])


class PullForbidden:
    """Never pull an image that the node has not got."""

    name = "pull-forbidden"
    parameters = _WHOSE

    def steps(self, context: Context) -> Sequence[Step]:
        path, spec, container = _found(context)
        name, _, tag = str(container["image"]).rpartition(":")
        container["image"] = f"{name}:{tag}{context.random.choice(('-alpine', '-musl', '-slim', '.1'))}"
        container["imagePullPolicy"] = "Never"
        return _with(path, containers=spec["containers"])


class CommandMisspelt:
    """Start a program that the image has not got."""

    name = "command-misspelt"
    parameters = _WHOSE

    def steps(self, context: Context) -> Sequence[Step]:
        path, spec, container = _found(context)
        if not container.get("command"):
            raise ValueError(f"{path} says no command")
        right = str(container["command"][0])
        wrong = (f"/usr/local/bin/{right}", f"{right}d", right[0] + right[2:] if len(right) > 2 else f"{right}x")
        container["command"][0] = context.random.choice(wrong)
        return _with(path, containers=spec["containers"])


class ReadinessPortWrong:
    """Let the readiness probe ask a port at which nothing listens."""

    name = "readiness-port-wrong"
    parameters = (*_WHOSE, Parameter("port", 0, "the wrong port; 0 chooses"))

    def steps(self, context: Context) -> Sequence[Step]:
        path, spec, container = _found(context)
        probe = container.get("readinessProbe", {})
        if "httpGet" not in probe:
            raise ValueError(f"{path} has no readiness probe by HTTP")
        choices = [port for port in (80, 8000, 8081, 8443, 9090) if port != probe["httpGet"]["port"]]
        probe["httpGet"]["port"] = int(context.parameters["port"]) or context.random.choice(choices)
        return _with(path, containers=spec["containers"])


class LivenessPathWrong:
    """Let the liveness probe ask for a page that is not there."""

    name = "liveness-path-wrong"
    parameters = _WHOSE

    def steps(self, context: Context) -> Sequence[Step]:
        path, spec, container = _found(context)
        probe = container.get("livenessProbe", {})
        if "httpGet" not in probe:
            raise ValueError(f"{path} has no liveness probe by HTTP")
        probe["httpGet"]["path"] = context.random.choice(("/healthz", "/health", "/alive", "/status"))
        return _with(path, containers=spec["containers"])


class ConfigKeyMissing:
    """Ask for a key that the ConfigMap has not got."""

    name = "config-key-missing"
    parameters = _WHOSE

    def steps(self, context: Context) -> Sequence[Step]:
        path, spec, container = _found(context)
        for variable in container.get("env", []):
            wanted = variable.get("valueFrom", {}).get("configMapKeyRef")
            if wanted:
                key = str(wanted["key"])
                wanted["key"] = context.random.choice(
                    (key.upper(), f"{key}s", key.replace("-", "_") + "_name", key[:-1])
                )
                return _with(path, containers=spec["containers"])
        raise ValueError(f"{path} takes no variable from a ConfigMap")


class NodeSelectorWrong:
    """Ask for nodes with a label that none has."""

    name = "node-selector-wrong"
    parameters = _WHOSE

    def steps(self, context: Context) -> Sequence[Step]:
        path, _, _ = _found(context)
        choices = ({"disktype": "ssd"}, {"kubernetes.io/os": "Linux"}, {"kubernetes.io/hostname": "node-01"},
                   {"topology.kubernetes.io/zone": "zone-b"}, {"node-role.kubernetes.io/worker": ""})  # fmt: skip
        return _with(path, nodeSelector=context.random.choice(choices))


class RequestTooLarge:
    """Request more than any node has."""

    name = "request-too-large"
    parameters = _WHOSE

    def steps(self, context: Context) -> Sequence[Step]:
        path, spec, container = _found(context)
        amount = context.random.choice(({"cpu": "250"}, {"cpu": "500"}, {"memory": "8Ti"}, {"memory": "16Ti"}))
        container.setdefault("resources", {}).setdefault("requests", {}).update(amount)
        return _with(path, containers=spec["containers"])


class HandlerUnknown:
    """Run the pods by a RuntimeClass whose handler the nodes' runtime does not know."""

    name = "handler-unknown"
    parameters = _WHOSE

    def steps(self, context: Context) -> Sequence[Step]:
        path, _, _ = _found(context)
        handler = context.random.choice(("kata", "gvisor", "runsc", "crun", "youki"))
        name = context.random.choice(("sandboxed", "isolated", "hardened"))
        body = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": handler}
        steps: list[Step] = [PutObject(f"/apis/node.k8s.io/v1/runtimeclasses/{name}", body)]
        return [*steps, *_with(path, runtimeClassName=name)]


class VolumeTypeWrong:
    """Mount a path of the fault's node that has to be a directory and is not there."""

    name = "volume-type-wrong"
    parameters = _WHOSE

    def steps(self, context: Context) -> Sequence[Step]:
        path, spec, _ = _found(context)
        for volume in spec.get("volumes", []):
            if "hostPath" in volume:
                wrong = context.random.choice(("/srv/web-data", "/var/lib/web", "/opt/web/content", "/mnt/web"))
                volume["hostPath"] = {"path": wrong, "type": "Directory"}
                return [Absent(wrong), *_with(path, volumes=spec["volumes"])]
        raise ValueError(f"{path} mounts no path of the node")

"""The line upstream's CRI client writes when a call fails (source names and texts of k8s.io/cri-client 0.36)."""

from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from cka_kubelet.cri.errors import quote

Fields = Callable[[Any], dict[str, object]]


class Failure(NamedTuple):
    """`source` and `text` of the line; `fields` takes the request and gives the line's further keys."""

    source: str
    text: str
    fields: Fields


def prototext(message: Message) -> str:
    """A message on one line, as protobuf-go prints it: `state:{state:SANDBOX_READY} id:"x"`."""
    return " ".join(text for field, value in message.ListFields() for text in _field(field, value))


def _field(field: FieldDescriptor, value: Any) -> list[str]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return [f"{field.name}:{{key:{quote(str(k))} value:{quote(str(v))}}}" for k, v in sorted(value.items())]
    repeated = isinstance(value, (list, tuple)) or (hasattr(value, "append") and not isinstance(value, bytes))
    return [f"{field.name}:{_scalar(field, item)}" for item in (value if repeated else [value])]


def _scalar(field: FieldDescriptor, value: Any) -> str:
    if isinstance(value, Message):
        return "{" + prototext(value) + "}"
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named is not None else str(value)
    if isinstance(value, bool):
        return str(value).lower()
    return quote(value) if isinstance(value, str) else str(value)


def _nothing(_request: Any) -> dict[str, object]:
    return {}


def _sandbox(request: Any) -> dict[str, object]:
    return {"podSandboxID": request.pod_sandbox_id}


def _container(request: Any) -> dict[str, object]:
    return {"containerID": request.container_id}


def _command(request: Any) -> dict[str, object]:
    return {"containerID": request.container_id, "cmd": list(request.cmd)}


def _image(request: Any) -> dict[str, object]:
    return {"image": request.image.image}


def _filter(request: Any) -> dict[str, object]:
    return {"filter": prototext(request.filter) if request.HasField("filter") else "<nil>"}


def _runtime(line: int, what: str, fields: Fields = _nothing) -> Failure:
    return Failure(f"remote_runtime.go:{line}", f"{what} from runtime service failed", fields)


def _images(line: int, what: str, fields: Fields = _nothing) -> Failure:
    return Failure(f"remote_image.go:{line}", f"{what} from image service failed", fields)


FAILURES = {
    "Version": _runtime(192, "Version"),
    "RunPodSandbox": _runtime(237, "RunPodSandbox"),
    "StopPodSandbox": _runtime(267, "StopPodSandbox", _sandbox),
    "RemovePodSandbox": _runtime(287, "RemovePodSandbox", _sandbox),
    "ListPodSandbox": _runtime(347, "ListPodSandbox with filter", _filter),
    "CreateContainer": _runtime(410, "CreateContainer in sandbox", _sandbox),
    "StartContainer": _runtime(435, "StartContainer", _container),
    "StopContainer": _runtime(459, "StopContainer", _container),
    "RemoveContainer": _runtime(479, "RemoveContainer", _container),
    "ListContainers": _runtime(506, "ListContainers with filter", _filter),
    "ContainerStatus": _runtime(569, "ContainerStatus", _container),
    "UpdateContainerResources": _runtime(599, "UpdateContainerResources", _container),
    "ExecSync": _runtime(636, "ExecSync cmd", _command),
    "Exec": _runtime(672, "Exec cmd", _command),
    "Attach": _runtime(701, "Attach container", _container),
    "PortForward": _runtime(730, "PortForward", _sandbox),
    "UpdatePodSandboxResources": _runtime(755, "UpdatePodSandboxResources", _sandbox),
    "Status": _runtime(801, "Status"),
    "ContainerStats": _runtime(834, "ContainerStats", _container),
    "ListContainerStats": _runtime(863, "ListContainerStats with filter", _filter),
    "PodSandboxStats": _runtime(924, "PodSandbox", _sandbox),
    "ListPodSandboxStats": _runtime(954, "ListPodSandboxStats with filter", _filter),
    "ReopenContainerLog": _runtime(1006, "ReopenContainerLog", _container),
    "CheckpointContainer": _runtime(1051, "CheckpointContainer", _container),
    "ListMetricDescriptors": _runtime(1104, "ListMetricDescriptors"),
    "ListPodSandboxMetrics": _runtime(1127, "ListPodSandboxMetrics"),
    "RuntimeConfig": _runtime(1177, "RuntimeConfig"),
    "ListImages": _images(161, "ListImages with filter", _filter),
    "ImageStatus": _images(217, "Get ImageStatus", _image),
    "PullImage": _images(250, "PullImage", _image),
    "RemoveImage": _images(284, "RemoveImage", _image),
    "ImageFsInfo": _images(303, "ImageFsInfo"),
}
"""By RPC. PodSandboxStatus is missing because upstream is silent about it."""

"""Events about pods, in upstream's words, through the kubelet's recorder."""

from typing import Any, Protocol

from cka_kubelet.kubelet.pods import objects

NORMAL, WARNING = "Normal", "Warning"


class Recorder(Protocol):
    """The kubelet's event recorder: correlates, rate-limits and sends in the background."""

    def event(self, involved: dict[str, Any], type_: str, reason: str, message: str) -> None: ...


class PodEvents:
    """Records events on pods and their containers."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def pod(self, pod: objects.Pod, type_: str, reason: str, message: str) -> None:
        """An event on the pod itself."""
        self._recorder.event(_reference(pod, ""), type_, reason, message)

    def container(self, pod: objects.Pod, container: objects.Container, type_: str, reason: str, message: str) -> None:
        """An event on one container (fieldPath `spec.containers{name}`)."""
        self._recorder.event(_reference(pod, objects.field_path(pod, container)), type_, reason, message)


def _reference(pod: objects.Pod, path: str) -> dict[str, Any]:
    """An ObjectReference; a static pod's uid is its hash, which upstream keeps here."""
    reference = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": objects.name(pod),
        "namespace": objects.namespace(pod),
        "uid": objects.uid(pod),
    }
    version = pod["metadata"].get("resourceVersion")
    if version:
        reference["resourceVersion"] = version
    if path:
        reference["fieldPath"] = path
    return reference

from typing import Any

from cka_kubelet.kubelet.events import EventCorrelator, reference
from cka_kubelet.kubelet.eventtext import go_event


def _event(message: str = "m", name: str = "n.1") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": "node01", "apiVersion": "v1"},
        "reason": "Starting", "message": message, "type": "Normal", "count": 1,
        "source": {"component": "kubelet", "host": "node01"},
        "firstTimestamp": "a", "lastTimestamp": "b",
        "reportingComponent": "kubelet", "reportingInstance": "node01",
    }  # fmt: skip


def _send(correlator: EventCorrelator, event: dict[str, Any], now: float = 0.0) -> tuple[Any, Any]:
    result = correlator.correlate(event, now)
    assert result is not None
    return result


def test_a_repeat_counts_up_the_first_event() -> None:
    correlator = EventCorrelator()
    first, patch = _send(correlator, _event())
    assert patch is None
    first["metadata"] = {**first["metadata"], "resourceVersion": "7"}
    correlator.stored(first)
    again, patch = _send(correlator, _event(name="n.2"))
    assert (again["metadata"]["name"], again["metadata"]["resourceVersion"], patch["count"]) == ("n.1", "7", 2)


def test_many_similar_messages_are_combined() -> None:
    correlator = EventCorrelator()
    for number in range(10):
        assert _send(correlator, _event(f"m{number}"))[0]["message"] == f"m{number}"
    assert _send(correlator, _event("m10"))[0]["message"] == "(combined from similar events): m10"
    event, patch = _send(correlator, _event("m11"))
    assert event["count"] == 2
    assert patch["message"] == "(combined from similar events): m11"


def test_a_flood_about_one_object_is_dropped() -> None:
    correlator = EventCorrelator()
    sent = [correlator.correlate(_event(), 0.0) for _ in range(30)]
    assert sum(item is not None for item in sent) == 25
    assert correlator.correlate(_event(), 301.0) is not None


def test_the_log_shows_the_event_as_go_does() -> None:
    text = go_event(_event("Starting kubelet.", "node01.18e9"), 1_795_000_000.5)
    assert text.startswith(
        "&Event{ObjectMeta:{node01.18e9  default    0 0001-01-01 00:00:00 +0000 UTC <nil> <nil> map[] map[] [] [] []},"
        "InvolvedObject:ObjectReference{Kind:Node,Namespace:,Name:node01,UID:,APIVersion:v1,ResourceVersion:,FieldPath:,},"
        "Reason:Starting,Message:Starting kubelet.,Source:EventSource{Component:kubelet,Host:node01,},"
        "FirstTimestamp:2026-"
    )
    assert text.endswith("ReportingController:kubelet,ReportingInstance:node01,}")


def test_a_reference_names_the_pod_and_the_container() -> None:
    pod = {"metadata": {"name": "p", "namespace": "s", "uid": "u", "resourceVersion": "3"}}
    assert reference(pod, field_path="spec.containers{c}") == {
        "kind": "Pod", "namespace": "s", "name": "p", "uid": "u", "apiVersion": "v1", "resourceVersion": "3",
        "fieldPath": "spec.containers{c}",
    }  # fmt: skip

"""events and events.k8s.io are two views of the same objects; stored is the core/v1 shape."""

from typing import Any

Object = dict[str, Any]

_RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_BACK = {new: old for old, new in _RENAMED.items()}


def to_new(obj: Object) -> Object:
    """core/v1 → events.k8s.io/v1."""
    if obj.get("apiVersion") == "events.k8s.io/v1":
        return obj
    return {**{_RENAMED.get(key, key): value for key, value in obj.items()}, "apiVersion": "events.k8s.io/v1"}


def to_core(obj: Object) -> Object:
    """events.k8s.io/v1 → core/v1."""
    if obj.get("apiVersion") != "events.k8s.io/v1":
        return obj
    return {**{_BACK.get(key, key): value for key, value in obj.items()}, "apiVersion": "v1"}

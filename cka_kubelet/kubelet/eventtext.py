"""An Event the way Go prints the structure, as the event.go log lines carry it."""

import time
from typing import Any

_ZERO = "0001-01-01 00:00:00 +0000 UTC"
_START = time.time()


def _stamp(at: float) -> str:
    whole = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
    fraction = f"{at % 1:.9f}"[1:].rstrip("0").rstrip(".")
    return f"{whole}{fraction} +0000 UTC m=+{at - _START:.9f}"


def _map(values: dict[str, str] | None) -> str:
    return "map[" + " ".join(f"{key}:{value}" for key, value in sorted((values or {}).items())) + "]"


def go_event(event: dict[str, Any], at: float) -> str:
    """`&Event{ObjectMeta:{node01.18e9  default    0 0001-… },InvolvedObject:…}`; `at` is when it happened (epoch)."""
    metadata, ref, source = event["metadata"], event["involvedObject"], event["source"]
    involved = ",".join(
        f"{name}:{ref.get(key, '')}"
        for name, key in (
            ("Kind", "kind"), ("Namespace", "namespace"), ("Name", "name"), ("UID", "uid"),
            ("APIVersion", "apiVersion"), ("ResourceVersion", "resourceVersion"), ("FieldPath", "fieldPath"),
        )
    )  # fmt: skip
    first = _stamp(at)
    return (
        f"&Event{{ObjectMeta:{{{metadata['name']}  {metadata['namespace']}   {metadata.get('resourceVersion', '')} "
        f"0 {_ZERO} <nil> <nil> map[] {_map(metadata.get('annotations'))} [] [] []}},"
        f"InvolvedObject:ObjectReference{{{involved},}},Reason:{event['reason']},Message:{event['message']},"
        f"Source:EventSource{{Component:{source['component']},Host:{source['host']},}},"
        f"FirstTimestamp:{first},LastTimestamp:{first},Count:{event['count']},Type:{event['type']},"
        f"EventTime:{_ZERO},Series:nil,Action:,Related:nil,"
        f"ReportingController:{event['reportingComponent']},ReportingInstance:{event['reportingInstance']},}}"
    )

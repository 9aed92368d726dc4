"""The cluster's objects: changed by steps, captured before, put back afterwards, through the API server.

A path is that of one object: `/api/v1/namespaces/default/pods/web`. What status and other controllers write is left
alone: an object is as before when its labels, annotations and everything but metadata and status are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from cka_kubelet.clock import Clock, wait_until
from cka_kubelet.errors import CommandError, LabStartError, NodeUnreachableError
from cka_kubelet.remote.kubeapi import Answer, KubeAPI

Object: TypeAlias = Mapping[str, Any]
API_SECONDS = 60.0
"""How long an API server that was just mended may take to answer."""
GONE_SECONDS = 40.0
_OWN = ("labels", "annotations")


@dataclass(frozen=True)
class PutObject:
    """Let this object be at `path`, whether or not there is one."""

    path: str
    body: Object


@dataclass(frozen=True)
class PatchObject:
    """Change an object that is there by a JSON merge patch (RFC 7386): null removes, lists are replaced."""

    path: str
    patch: Object


@dataclass(frozen=True)
class DeleteObject:
    """Let no object be at `path`. One that a learner puts there goes when the fault is undone."""

    path: str


ObjectStep: TypeAlias = PutObject | PatchObject | DeleteObject


def read(api: KubeAPI, path: str) -> Object | None:
    """The object, None when there is none. Raises CommandError, NodeUnreachableError."""
    answer = api.request("GET", path)
    if answer.status == 404:
        return None
    body: Object = _good(answer, "GET", path)
    return body


def capture(api: KubeAPI, steps: Sequence[ObjectStep]) -> dict[str, Object | None]:
    """Pre-images of what the steps touch."""
    return {step.path: read(api, step.path) for step in steps}


def apply(api: KubeAPI, steps: Sequence[ObjectStep]) -> None:
    """Carry the steps out in order. Raises LabStartError for an object that is not there, CommandError."""
    for step in steps:
        now = read(api, step.path)
        match step:
            case PutObject(path, body):
                _put(api, path, body, now)
            case PatchObject(path, patch):
                if now is None:
                    raise LabStartError(f"there is no {path}", "`cka-kubelet nodes destroy` gives fresh nodes.")
                _put(api, path, merged(now, patch), now)
            case DeleteObject(path):
                _delete(api, path)
            case _:
                assert_never(step)


def restore(api: KubeAPI, before: Mapping[str, Object | None], clock: Clock) -> list[str]:
    """Put back what was there, last touched first; gives the paths changed. Waits for an API server that was just
    mended. Safe to repeat. Raises CommandError, NodeUnreachableError."""
    await_api(api, clock)
    changed = []
    for path, old in reversed(list(before.items())):
        now = read(api, path)
        if old is None and now is not None:
            _delete(api, path)
            wait_until(lambda path=path: read(api, path) is None, GONE_SECONDS, clock, every=0.2)  # type: ignore[misc]
            changed.append(path)
        elif old is not None and (now is None or essence(now) != essence(old)):
            _put(api, path, old if now is None else _with_essence(now, old), now)
            changed.append(path)
    return changed


def await_api(api: KubeAPI, clock: Clock) -> None:
    """Return once the API server says that it is ready. Raises NodeUnreachableError when it does not in time."""
    found = "nothing"

    def ready() -> bool:
        nonlocal found
        try:
            answer = api.request("GET", "/readyz")
        except NodeUnreachableError as err:
            found = err.message
            return False
        found = f"{answer.status} {str(answer.body)[:200]}"
        return answer.status == 200

    if not wait_until(ready, API_SECONDS, clock, every=0.25):
        raise NodeUnreachableError(
            f"the API server is not ready within {API_SECONDS:g} s: {found}",
            "`cka-kubelet restore` tries again; `cka-kubelet nodes destroy` gives fresh nodes.",
        )


def essence(body: Object) -> dict[str, Any]:
    """What makes an object what it is, without what servers and controllers add."""
    kept = {key: value for key, value in body.items() if key not in ("metadata", "status")}
    metadata = body.get("metadata") or {}
    return {**kept, **{f"metadata.{key}": metadata.get(key) or {} for key in _OWN}}


def merged(old: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(old) if isinstance(old, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _with_essence(now: Object, old: Object) -> Object:
    metadata = {**(now.get("metadata") or {}), **{key: (old.get("metadata") or {}).get(key, {}) for key in _OWN}}
    status = {"status": now["status"]} if "status" in now else {}
    return {**{key: value for key, value in old.items() if key not in ("metadata", "status")}, "metadata": metadata,
            **status}  # fmt: skip


def _put(api: KubeAPI, path: str, body: Object, now: Object | None) -> None:
    metadata = {k: v for k, v in (body.get("metadata") or {}).items() if k not in ("resourceVersion", "uid")}
    if now is None:
        metadata.pop("creationTimestamp", None)
        collection = path.rpartition("/")[0]
        _good(api.request("POST", collection, {**body, "metadata": metadata}), "POST", collection)
        return
    metadata["resourceVersion"] = (now.get("metadata") or {}).get("resourceVersion", "")
    _good(api.request("PUT", path, {**body, "metadata": metadata}), "PUT", path)


def _delete(api: KubeAPI, path: str) -> None:
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Background"}
    answer = api.request("DELETE", path, body)
    if answer.status != 404:
        _good(answer, "DELETE", path)


def _good(answer: Answer, method: str, path: str) -> Any:
    if answer.status >= 300 or not isinstance(answer.body, dict):
        message = answer.body.get("message") if isinstance(answer.body, dict) else answer.body
        raise CommandError(f"the API server answers {answer.status} to {method} {path}: {str(message)[:300]}")
    return answer.body

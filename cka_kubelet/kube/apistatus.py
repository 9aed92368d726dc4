"""metav1.Status: what an API server answers when it cannot do what was asked, in upstream's words.

Wording follows `k8s.io/apimachinery/pkg/api/errors` and `k8s.io/apiserver`.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

Details = dict[str, Any]


class Cause(NamedTuple):
    """One thing wrong with an object: `reason` is FieldValueRequired, FieldValueInvalid …"""

    reason: str
    message: str
    field: str


class StatusError(Exception):
    """A failure with its HTTP `code`, machine-readable `reason`, `message` for people and `details` (or None)."""

    def __init__(self, code: int, reason: str, message: str, details: Details | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> dict[str, Any]:
        """The metav1.Status object."""
        return status_object(self.code, self.reason, self.message, self.details)


def status_object(code: int, reason: str, message: str, details: Details | None = None) -> dict[str, Any]:
    """A metav1.Status with `status: Failure`, keys in upstream's order."""
    result: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
    }
    if reason:
        result["reason"] = reason
    if details:
        result["details"] = details
    result["code"] = code
    return result


def success(details: Details | None = None, code: int = 200) -> dict[str, Any]:
    """A metav1.Status with `status: Success`, the answer to a finished DELETE."""
    result: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if details:
        result["details"] = details
    if code != 200:
        result["code"] = code
    return result


def encode(status: dict[str, Any]) -> bytes:
    """A Status as upstream sends it to people: indented by two, a newline at the end."""
    return json.dumps(status, indent=2).encode() + b"\n"


def qualified(resource: str, group: str = "") -> str:
    """`pods`, `leases.coordination.k8s.io`."""
    return f"{resource}.{group}" if group else resource


def _details(resource: str, group: str, name: str) -> Details:
    result: Details = {}
    if name:
        result["name"] = name
    if group:
        result["group"] = group
    result["kind"] = resource
    return result


def not_found(resource: str, name: str, group: str = "") -> StatusError:
    """`nodes "x" not found`."""
    message = f'{qualified(resource, group)} "{name}" not found'
    return StatusError(404, "NotFound", message, _details(resource, group, name))


def already_exists(resource: str, name: str, group: str = "") -> StatusError:
    """`pods "x" already exists`."""
    message = f'{qualified(resource, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _details(resource, group, name))


def conflict(resource: str, name: str, why: str = "", group: str = "") -> StatusError:
    """The object has changed meanwhile, or `why`."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(resource, group, name))


def forbidden(resource: str, name: str, why: str, group: str = "") -> StatusError:
    """`pods "x" is forbidden: …`; without a name `pods is forbidden: …`."""
    target = qualified(resource, group) + (f' "{name}"' if name else "")
    message = f"{target} is forbidden: {why}"
    return StatusError(403, "Forbidden", message, _details(resource, group, name))


def unauthorized() -> StatusError:
    """No or wrong credentials."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def bad_request(message: str) -> StatusError:
    """The request itself makes no sense."""
    return StatusError(400, "BadRequest", message)


def invalid(kind: str, name: str, causes: Iterable[Cause], group: str = "") -> StatusError:
    """`Pod "x" is invalid: spec.containers: Required value`; several causes are listed in brackets."""
    found = list(causes)
    lines = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in found]
    text = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    details = _details(kind, group, name)
    details["causes"] = [cause._asdict() for cause in found]
    return StatusError(422, "Invalid", f'{qualified(kind, group)} "{name}" is invalid: {text}', details)


def gone(message: str) -> StatusError:
    """The resource version asked for is no longer in the history."""
    return StatusError(410, "Expired", message)


def method_not_allowed(resource: str, verb: str, group: str = "") -> StatusError:
    """The resource does not know that verb."""
    message = f"{verb} is not supported on resources of kind {qualified(resource, group)!r}".replace("'", '"')
    return StatusError(405, "MethodNotAllowed", message, _details(resource, group, ""))


def unsupported_media_type(accepted: Iterable[str]) -> StatusError:
    """The body's content type is not understood."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return StatusError(415, "UnsupportedMediaType", message)


def too_large(limit: int) -> StatusError:
    """The body is longer than `limit` bytes."""
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def too_many_requests(message: str, retry_after: int = 0, causes: Iterable[Cause] = ()) -> StatusError:
    """Refused for now; pods/eviction answers so when a budget does not allow it."""
    details: Details = {"retryAfterSeconds": retry_after} if retry_after else {}
    found = [cause._asdict() for cause in causes]
    if found:
        details["causes"] = found
    return StatusError(429, "TooManyRequests", message, details or None)


def internal(message: str) -> StatusError:
    """Something broke on our side."""
    causes = {"causes": [{"message": message}]}
    return StatusError(500, "InternalError", f"Internal error occurred: {message}", causes)


def unknown_path() -> StatusError:
    """No such API group, version or resource."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})

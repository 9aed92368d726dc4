"""The four patch formats: JSON patch, merge patch, strategic merge patch, and apply.

Every function gives a new value and leaves its arguments alone. Merge keys come from the struct tags of
`k8s.io/api` (patchMergeKey).
"""

import copy
from typing import Any

_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "conditions": "type",
    "addresses": "type",
    "podIPs": "ip",
    "hostIPs": "ip",
    "ownerReferences": "uid",
    "topologySpreadConstraints": "topologyKey",
    "secrets": "name",
    "resourceClaims": "name",
    "schedulingGates": "name",
}
_SETS = {"finalizers", "podCIDRs"}


class PatchError(ValueError):
    """The patch cannot be applied; str() is for people."""


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def json_patch(target: Any, operations: Any) -> Any:
    """RFC 6902. Raises PatchError."""
    if not isinstance(operations, list):
        raise PatchError("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    document = {"": copy.deepcopy(target)}
    for operation in operations:
        _operate(document, operation)
    return document[""]


def _operate(document: dict[str, Any], operation: dict[str, Any]) -> None:
    kind, path = operation.get("op"), str(operation.get("path", ""))
    match kind:
        case "add" | "replace":
            _set(document, path, copy.deepcopy(operation.get("value")), insert=kind == "add")
        case "remove":
            _take(document, path)
        case "test":
            if _get(document, path) != operation.get("value"):
                raise PatchError(f"testing value {path} failed: test failed")
        case "move":
            _set(document, path, _take(document, str(operation.get("from", ""))), insert=True)
        case "copy":
            value = _get(document, str(operation.get("from", "")))
            _set(document, path, copy.deepcopy(value), insert=True)
        case _:
            raise PatchError(f"Unexpected kind: {kind}")


def _walk(document: dict[str, Any], path: str) -> tuple[Any, str]:
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")]
    place: Any = document
    for token in tokens[:-1]:
        place = _child(place, token, path)
    return place, tokens[-1]


def _child(place: Any, token: str, path: str) -> Any:
    try:
        return place[int(token)] if isinstance(place, list) else place[token]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise PatchError(f"the server rejected our request: doc is missing path: {path}: missing value") from error


def _get(document: dict[str, Any], path: str) -> Any:
    place, token = _walk(document, path)
    return _child(place, token, path)


def _set(document: dict[str, Any], path: str, value: Any, *, insert: bool) -> None:
    place, token = _walk(document, path)
    if isinstance(place, list):
        if token == "-":  # noqa: S105  # RFC 6901: past the end
            place.append(value)
        elif insert and token.isdigit() and int(token) <= len(place):
            place.insert(int(token), value)
        else:
            _child(place, token, path)
            place[int(token)] = value
        return
    if not isinstance(place, dict) or (not insert and token not in place):
        raise PatchError(f"replace operation does not apply: doc is missing key: {path}: missing value")
    place[token] = value


def _take(document: dict[str, Any], path: str) -> Any:
    place, token = _walk(document, path)
    value = _child(place, token, path)
    if isinstance(place, list):
        del place[int(token)]
    else:
        del place[token]
    return value


def strategic(target: Any, patch: Any) -> Any:
    """A strategic merge patch, with its `$patch`, `$setElementOrder`, `$deleteFromPrimitiveList`, `$retainKeys`."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    result = dict(target) if isinstance(target, dict) else {}
    retain = patch.get("$retainKeys")
    if retain is not None:
        result = {key: value for key, value in result.items() if key in retain}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            result[field] = [item for item in result.get(field) or () if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            result[key] = _merge_list(key, result.get(key) or [], value)
        else:
            result[key] = strategic(result.get(key), value)
    for key, order in patch.items():
        if key.startswith("$setElementOrder/"):
            field = key.partition("/")[2]
            if field in result:
                result[field] = _ordered(field, result[field], order)
    return result


def _merge_key(field: str, items: list[Any]) -> str | None:
    if field == "ports":
        sample = next((item for item in items if isinstance(item, dict)), {})
        return "containerPort" if "containerPort" in sample else "port"
    return _MERGE_KEYS.get(field)


def _merge_list(field: str, have: list[Any], patch: list[Any]) -> list[Any]:
    if field in _SETS:
        return [*have, *(item for item in patch if item not in have)]
    key = _merge_key(field, [*have, *patch])
    if key is None or not all(isinstance(item, dict) for item in [*have, *patch]):
        return copy.deepcopy(patch)
    if any(item.get("$patch") == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if "$patch" not in item]
    result = list(have)
    for item in patch:
        index = next((i for i, old in enumerate(result) if old.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            if index is not None:
                del result[index]
        elif index is None:
            result.append(strategic({}, item))
        else:
            result[index] = strategic(result[index], item)
    return result


def _ordered(field: str, items: list[Any], order: list[Any]) -> list[Any]:
    key = _merge_key(field, items)
    wanted = [item.get(key) if isinstance(item, dict) else item for item in order]

    def rank(item: Any) -> int:
        value = item.get(key) if isinstance(item, dict) else item
        return wanted.index(value) if value in wanted else len(wanted)

    return sorted(items, key=rank)


def apply(target: Any, configuration: Any) -> Any:
    """Server-side apply, without field ownership: what the configuration says is merged in, nothing is removed."""
    return strategic(target, configuration)

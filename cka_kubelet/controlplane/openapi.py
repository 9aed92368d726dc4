"""OpenAPI v3 documents, made from the protobuf field table: names and types, which is what `kubectl explain` lists."""

from typing import Any

from cka_kubelet.controlplane import protobuf
from cka_kubelet.controlplane.discovery import VERSION
from cka_kubelet.controlplane.kinds import KINDS, Kind, group_versions

Object = dict[str, Any]

_TEXT: Object = {"type": "string"}
_SCALARS: dict[str, Object] = {
    "s": _TEXT,
    "b": {"type": "boolean"},
    "i": {"type": "integer", "format": "int64"},
    "d": {"type": "number", "format": "double"},
    "y": {"type": "string", "format": "byte"},
    "T": {"type": "string", "format": "date-time"},
    "U": {"type": "string", "format": "date-time"},
    "R": {"type": "object"},
    "Q": _TEXT,
    "I": {"type": "string", "format": "int-or-string"},
}
_VALIDATION = {"name": "fieldValidation", "in": "query", "schema": {"type": "string", "uniqueItems": True}}

V2_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
V2 = b"\n\x032.0"
"""/openapi/v2 as kubectl asks for it (protobuf): `swagger: "2.0"` and no definitions. kubectl up to 1.32
looks there before it applies a List, and passes over kinds that it does not find; all others it looks up in v3."""


def index() -> Object:
    """/openapi/v3: where each group version's document is."""
    paths: Object = {}
    for each in group_versions():
        root = f"apis/{each}" if "/" in each else f"api/{each}"
        paths[root] = {"serverRelativeURL": f"/openapi/v3/{root}"}
    return {"paths": paths}


def document(api_version: str) -> Object | None:
    """One group version's document, None for an unknown one.

    Its paths say which kinds take `fieldValidation`. They do not offer strategic merge patches, so that kubectl merges
    with what it knows itself: the schemas here have no merge keys.
    """
    group, _, version = api_version.rpartition("/")
    kinds = [each for each in KINDS if (each.group, each.version) == (group, version)]
    if not kinds:
        return None
    paths: Object = {}
    schemas: Object = {}
    for kind in kinds:
        gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        operation = {"parameters": [_VALIDATION], "x-kubernetes-group-version-kind": gvk, "responses": {}}
        collection = kind.path("{namespace}")
        paths[collection] = {"post": {**operation, "x-kubernetes-action": "post"}}
        paths[collection + "/{name}"] = {
            verb: {**operation, "x-kubernetes-action": verb} for verb in ("get", "put", "patch")
        }
        _kind(kind, gvk, schemas)
    info = {"title": "Kubernetes", "version": VERSION}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _kind(kind: Kind, gvk: Object, schemas: Object) -> None:
    name = f"{kind.group.partition('.')[0] or 'core'}/{kind.version}.{kind.kind}"
    schema = schemas[_add(name, schemas)]
    schema["properties"] = {"apiVersion": _TEXT, "kind": _TEXT, **schema["properties"]}
    schema["x-kubernetes-group-version-kind"] = [gvk]


def _title(message: str) -> str:
    package, _, name = message.rpartition(".")
    return f"io.k8s.api.{package.replace('/', '.')}.{name}"


def _add(message: str, schemas: Object) -> str:
    """Add a message and all it refers to; gives its name among the schemas."""
    title = _title(message)
    if title not in schemas:
        properties: Object = {}
        schemas[title] = {"type": "object", "description": "", "properties": properties}
        for field in protobuf.fields(message):
            if "^" in field.mark:
                inner = schemas[_add(field.type[1:], schemas)]
                properties.update(inner["properties"])
            else:
                properties[field.name] = _property(field, schemas)
    return title


def _property(field: protobuf.Field, schemas: Object) -> Object:
    inner: Object
    if field.type[0] == ".":
        inner = {"allOf": [{"$ref": f"#/components/schemas/{_add(field.type[1:], schemas)}"}], "default": {}}
    else:
        inner = _SCALARS[field.type[0]]
    if "%" in field.mark:
        return {"type": "object", "additionalProperties": inner}
    if "*" in field.mark:
        return {"type": "array", "items": inner}
    return inner

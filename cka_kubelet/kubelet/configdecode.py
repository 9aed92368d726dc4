"""Decoding a KubeletConfiguration: strict first, lenient when only strictness failed, then defaults."""

import copy
from typing import Any

from cka_kubelet.kube import goyaml, klog
from cka_kubelet.kube.gofmt import parse_duration, quote, to_json
from cka_kubelet.kubelet.configschema import DEFAULT_EVICTION_HARD, STRUCTS, Field
from cka_kubelet.kubelet.configuration import KubeletConfiguration

API_VERSION = "kubelet.config.k8s.io/v1beta1"
_SCHEME = '"pkg/kubelet/apis/config/scheme/scheme.go:33"'
_OTHER_KINDS = ("CredentialProviderConfig", "SerializedNodeConfigSource", "ImagePullIntent", "ImagePulledRecord")
_GO_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "string": (str,),
    "float64": (int, float),
}
_INTEGERS = {
    "int32": (-(1 << 31), (1 << 31) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint32": (0, (1 << 32) - 1),
}
_PACKAGES = {"VModuleItem": "v1", "LoggingConfiguration": "v1", "Taint": "v1"}


class DecodeError(Exception):
    """The file is no KubeletConfiguration. str() is upstream's message, which begins after `failed to decode: `."""


class CastError(Exception):
    """It is another kind of the same group."""


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _go_type(kind: str) -> str:
    """How Go names the type of a kind."""
    if not kind.startswith("object:"):
        return kind
    name = kind.removeprefix("object:")
    return f"{_PACKAGES.get(name, 'v1beta1')}.{name}"


class _Decoder:
    def __init__(self) -> None:
        self.unknown: list[str] = []

    def struct(self, name: str, value: dict[str, Any], path: str, strict_path: str) -> dict[str, Any]:
        result = {}
        for key, item in value.items():
            field = STRUCTS[name].get(key)
            strict = f"{strict_path}.{key}" if strict_path else key
            if field is None:
                self.unknown.append(f'unknown field "{strict}"')
            elif item is not None:
                here = f"{path}.{key}" if path else key
                result[key] = self.value(name, field.kind, item, here, strict)
        return result

    def value(self, struct: str, kind: str, item: Any, path: str, strict_path: str) -> Any:
        """One value checked against its kind. `strict_path` has indices, which only the strict complaints show."""
        if kind == "any":
            return item
        if kind == "duration" or (kind == "timeOrDuration" and isinstance(item, str)):
            return self._duration(item)
        if kind == "timeOrDuration":
            if not isinstance(item, int) or isinstance(item, bool):
                raise DecodeError(f"json: cannot unmarshal {_kind_of(item)} into Go value of type time.Duration")
            return item
        if kind.startswith("object:"):
            fields = self._need(struct, item, dict, _go_type(kind), path)
            return self.struct(kind[7:], fields, path, strict_path)
        if kind.startswith("[]"):
            items = self._need(struct, item, list, f"[]{_go_type(kind[2:])}", path)
            return [
                self.value(struct, kind[2:], element, path, f"{strict_path}[{index}]")
                for index, element in enumerate(items)
            ]
        if kind.startswith("map[string]"):
            items = self._need(struct, item, dict, kind, path)
            return {
                key: self.value(struct, kind[11:], element, path, f"{strict_path}.{key}")
                for key, element in items.items()
            }
        if kind == "header":
            return self._need(struct, item, dict, "map[string][]string", path)
        if kind in _INTEGERS:
            return self._integer(struct, kind, item, path)
        wrong = not isinstance(item, _GO_TYPES[kind]) or (isinstance(item, bool) and kind != "bool")
        if wrong:
            self._need(struct, item, type(None), kind, path)
        return item

    def _integer(self, struct: str, kind: str, item: Any, path: str) -> int:
        if isinstance(item, bool) or not isinstance(item, int | float):
            self._need(struct, item, type(None), kind, path)
        low, high = _INTEGERS[kind]
        if item != int(item) or not low <= item <= high:
            raise DecodeError(
                f"json: cannot unmarshal number {item} into Go struct field {struct}.{path} of type {kind}"
            )
        return int(item)

    def _need(self, struct: str, item: Any, wanted: type, go_type: str, path: str) -> Any:
        if isinstance(item, wanted):
            return item
        raise DecodeError(
            f"json: cannot unmarshal {_kind_of(item)} into Go struct field {struct}.{path} of type {go_type}"
        )

    def _duration(self, item: Any) -> str:
        if not isinstance(item, str):
            raise DecodeError(f"json: cannot unmarshal {_kind_of(item)} into Go value of type string")
        try:
            parse_duration(item)
        except ValueError as error:
            raise DecodeError(str(error)) from error
        return item


def decode(data: bytes) -> dict[str, Any]:
    """The fields that `data` sets. Logs the lenient-decoding line when strict decoding fails.

    Raises DecodeError or CastError.
    """
    try:
        document, duplicates = goyaml.load(data)
    except goyaml.YAMLError as error:
        raise DecodeError(str(error)) from error
    _check_kind(document, data)
    fields = {key: value for key, value in document.items() if key not in ("kind", "apiVersion")}
    decoder = _Decoder()
    decoded = decoder.struct("KubeletConfiguration", fields, "", "")
    complaints = []
    if duplicates:
        complaints.append("yaml: unmarshal errors:\n" + "\n".join(duplicates))
    complaints += decoder.unknown
    if complaints:
        text = "strict decoding error: " + ", ".join(complaints)
        klog.info("codec.go:102", "Using lenient decoding as strict decoding failed", err=text)
    return decoded


def document_of(data: bytes) -> dict[str, Any]:
    """A file's fields, its kind among them, unchecked. Raises DecodeError when it is no object with a kind."""
    try:
        document, _ = goyaml.load(data)
    except goyaml.YAMLError as error:
        raise DecodeError(str(error)) from error
    if not isinstance(document, dict) or not document.get("kind"):
        raise DecodeError(f"Object 'Kind' is missing in '{to_json(document)}'")
    return document


def lenient(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` without unknown ones. Raises DecodeError for a value of the wrong type."""
    return _Decoder().struct("KubeletConfiguration", fields, "", "")


def _check_kind(document: Any, data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    if not isinstance(document, dict):
        if document is None:
            raise DecodeError(f"Object 'Kind' is missing in '{text}'")
        raise DecodeError(
            f"couldn't get version/kind; json parse error: json: cannot unmarshal {_kind_of(document)} into Go value "
            'of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string '
            '"json:\\"kind,omitempty\\"" }'
        )
    kind, version = str(document.get("kind") or ""), str(document.get("apiVersion") or "")
    if not kind:
        raise DecodeError(f"Object 'Kind' is missing in '{text}'")
    if not version:
        raise DecodeError(f"Object 'apiVersion' is missing in '{text}'")
    if version == API_VERSION and kind in _OTHER_KINDS:
        raise CastError(f"failed to cast object to KubeletConfiguration, unexpected type: {API_VERSION}, Kind={kind}")
    if version != API_VERSION or kind != "KubeletConfiguration":
        raise DecodeError(f"no kind {quote(kind)} is registered for version {quote(version)} in scheme {_SCHEME}")


def _unset(field: Field, value: Any) -> bool:
    if value is None:
        return True
    if field.pointer:
        return False
    if field.kind == "duration":
        return parse_duration(str(value)) == 0
    return field.kind != "any" and not field.kind.startswith("[]") and not value


def _fill(struct: str, value: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, field in STRUCTS[struct].items():
        item = value.get(name)
        if field.kind.startswith("object:"):
            result[name] = _fill(field.kind[7:], item or {})
        elif _unset(field, item):
            if field.default is not None:
                result[name] = copy.deepcopy(field.default)
        else:
            result[name] = item
    return result


def with_defaults(fields: dict[str, Any]) -> KubeletConfiguration:
    """All fields, defaults filled in as upstream's SetDefaults_KubeletConfiguration does."""
    config = KubeletConfiguration(_fill("KubeletConfiguration", fields))
    update = fields.get("nodeStatusUpdateFrequency")
    if not _given_duration(fields, "nodeStatusReportFrequency") and update and parse_duration(str(update)):
        config["nodeStatusReportFrequency"] = config["nodeStatusUpdateFrequency"]
    hard = fields.get("evictionHard")
    if hard is None or fields.get("mergeDefaultEvictionSettings") is True:
        config["evictionHard"] = {**DEFAULT_EVICTION_HARD, **(hard or {})}
    return config


def _given_duration(fields: dict[str, Any], name: str) -> bool:
    return parse_duration(str(fields.get(name) or "0s")) != 0


def merge(into: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """`into` with `patch` laid over it: mappings merge, everything else is replaced (drop-in directory, RFC 7386)."""
    result = dict(into)
    for key, value in patch.items():
        before = result.get(key)
        result[key] = merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result

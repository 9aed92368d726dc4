"""From the command line to the configuration in force: file, drop-in directory, flags over both, defaults, gates."""

import os
from pathlib import Path
from typing import Any

from cka_kubelet.kube.featuregates import GateError, check_gates
from cka_kubelet.kube.gofmt import path_error, quote
from cka_kubelet.kube.pflag import ParsedFlags
from cka_kubelet.kubelet.configdecode import (
    API_VERSION,
    CastError,
    DecodeError,
    decode,
    document_of,
    lenient,
    merge,
    with_defaults,
)
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.flagtable import FLAGS

FLAG_ONLY = {
    "readOnlyPort": 10255,
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
}
"""What upstream keeps for kubelets without a configuration file (options.applyLegacyDefaults)."""


class ConfigError(Exception):
    """The configuration cannot be loaded; str() is what follows `"command failed" err=`."""


class GatePanicError(Exception):
    """Upstream's defaulting panics here: print str() as a panic and exit 2."""


def _read(path: str) -> dict[str, Any]:
    where = quote(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        operation = "read" if isinstance(error, IsADirectoryError) else "open"
        raise ConfigError(
            f"failed to read kubelet config file {where}, error: {path_error(operation, path, error)}"
        ) from error
    if not data:
        raise ConfigError(f"kubelet config file {where} was empty")
    try:
        return decode(data)
    except DecodeError as error:
        raise ConfigError(f"failed to decode: {error}") from error
    except CastError as error:
        raise ConfigError(str(error)) from error


def _load_file(path: str) -> dict[str, Any]:
    absolute = str(Path.cwd() / path)
    try:
        fields = _read(absolute)
    except ConfigError as error:
        raise ConfigError(
            f"failed to load kubelet config file, path: {path}, error: "
            f"failed to load Kubelet config file {path}, error {error}"
        ) from error
    directory = str(Path(absolute).parent)
    for key in ("staticPodPath", "tlsCertFile", "tlsPrivateKeyFile", "resolvConf", "podLogsDir"):
        if fields.get(key) and not str(fields[key]).startswith("/"):
            fields[key] = os.path.normpath(f"{directory}/{fields[key]}")
    authority = (fields.get("authentication") or {}).get("x509") or {}
    if authority.get("clientCAFile") and not authority["clientCAFile"].startswith("/"):
        authority["clientCAFile"] = os.path.normpath(f"{directory}/{authority['clientCAFile']}")
    return fields


def _drop_in(path: str) -> dict[str, Any]:
    """A drop-in's fields as they stand: what is unknown in them is dropped in silence later."""
    where = quote(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        problem = path_error("open", path, error)
        raise ConfigError(f"error: failed to read drop-in kubelet config file {where}, error: {problem}") from error
    if not data:
        raise ConfigError(f"error: kubelet config file {where} was empty")
    try:
        document = document_of(data)
    except DecodeError as error:
        raise ConfigError(f"error: {error}") from error
    kind, version = document.pop("kind"), document.pop("apiVersion", "")
    if (kind, version) != ("KubeletConfiguration", API_VERSION):
        raise ConfigError(f"unknown apiVersion/kind: {version}, Kind={kind}")
    return document


def _load_directory(fields: dict[str, Any], directory: str) -> dict[str, Any]:
    """`fields` with the drop-ins laid over them, in the order of their names, folders included."""
    prefix = "failed to merge kubelet configs: "
    walking = f"{prefix}failed to walk through kubelet dropin directory {quote(directory)}: "
    if not Path(directory).exists():
        raise ConfigError(f"{walking}lstat {directory}: no such file or directory")
    for path in sorted(str(path) for path in Path(directory).rglob("*.conf") if path.is_file() or path.is_symlink()):
        try:
            fields = merge(fields, _drop_in(path))
        except ConfigError as error:
            raise ConfigError(f"{walking}failed to load kubelet dropin file, path: {path}, {error}") from error
    try:
        return lenient(fields)
    except DecodeError as error:
        raise ConfigError(f"{prefix}failed to unmarshal merged JSON into kubelet configuration: {error}") from error


def _over(fields: dict[str, Any], flags: ParsedFlags) -> dict[str, Any]:
    """`fields` with every flag that was given laid over them."""
    for name, value in flags.values.items():
        path = FLAGS[name].field
        if not path:
            continue
        patch: Any = value
        for key in reversed(path.split(".")):
            patch = {key: patch}
        top = path.split(".")[0]
        replaced = isinstance(value, dict) and top != "featureGates"
        fields = {**fields, top: value} if replaced else merge(fields, patch)
    return fields


def load(flags: ParsedFlags) -> KubeletConfiguration:
    """The configuration in force. Raises ConfigError or GatePanicError."""
    fields: dict[str, Any] = {}
    path, directory = flags.text("config"), flags.text("config-dir")
    given = flags.values.get("feature-gates") or {}
    try:
        check_gates(given)
    except GateError as error:
        raise ConfigError(f"failed to set feature gates from initial flags-based config: {error}") from error
    if path:
        fields = _load_file(path)
    if directory:
        fields = _load_directory(fields, directory)
    if not path and not directory:
        fields = dict(FLAG_ONLY)
    try:
        check_gates(fields.get("featureGates") or {})
    except GateError as error:
        raise GatePanicError(
            f"failed to merge global and in-flight KubeletConfiguration while setting defaults, error: {error}"
        ) from error
    return with_defaults(_over(fields, flags))

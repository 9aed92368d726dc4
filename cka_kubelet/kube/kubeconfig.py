"""kubeconfig files: load, check and resolve one context, with client-go's error texts (tools/clientcmd)."""

import base64
import binascii
from pathlib import Path
from typing import Any, NamedTuple

from cka_kubelet.kube import goyaml
from cka_kubelet.kube.gofmt import join_errors, path_error, quote

Entry = dict[str, Any]
_EMPTY = "no configuration has been provided, try setting KUBERNETES_MASTER environment variable"
_EMPTY_CLUSTER = "cluster has no server defined"
_DATA_FIELDS = ("certificate-authority-data", "client-certificate-data", "client-key-data")
_PATH_FIELDS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


class KubeconfigError(Exception):
    """The file cannot be used. str() is client-go's message, without the caller's prefix."""


class RESTConfig(NamedTuple):
    """What a client needs: server URL, trust, credentials. Paths are absolute; data is PEM."""

    server: str
    ca_file: str
    ca_data: bytes
    cert_file: str
    cert_data: bytes
    key_file: str
    key_data: bytes
    token: str
    token_file: str
    insecure: bool
    server_name: str
    namespace: str

    @property
    def tls(self) -> bool:
        """Whether the server is reached over TLS; without it, client-go drops certificates and tokens."""
        return self.server.startswith("https://")


def _text(entry: Entry, key: str) -> str:
    value = entry.get(key)
    return "" if value is None else str(value)


def _decode_base64(text: str) -> bytes:
    compact = text.replace("\n", "").replace("\r", "")
    alphabet = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
    bad = next((index for index, char in enumerate(compact) if char not in alphabet), None)
    if bad is not None:
        raise KubeconfigError(f"illegal base64 data at input byte {bad}")
    try:
        return base64.b64decode(compact, validate=True)
    except binascii.Error as error:
        raise KubeconfigError(f"illegal base64 data at input byte {len(compact) - len(compact) % 4}") from error


def _named(document: Entry, plural: str, singular: str) -> dict[str, Entry]:
    """`clusters: [{name, cluster}]` by name; the first of equal names wins, as in client-go's conversion."""
    result: dict[str, Entry] = {}
    entries = document.get(plural)
    if entries is None:
        return result
    if not isinstance(entries, list):
        what = _go_kind(entries)
        raise KubeconfigError(
            f"json: cannot unmarshal {what} into Go struct field Config.{plural} of type []v1.Named{singular.title()}"
        )
    for entry in entries:
        if isinstance(entry, dict):
            body = entry.get(singular)
            result.setdefault(_text(entry, "name"), body if isinstance(body, dict) else {})
    return result


def _go_kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return {"str": "string", "list": "array", "dict": "object"}.get(type(value).__name__, "null")


class Kubeconfig:
    """One loaded file."""

    def __init__(self, path: str, document: Entry) -> None:
        self.path = path
        self.current_context = _text(document, "current-context")
        self.clusters = _named(document, "clusters", "cluster")
        self.users = _named(document, "users", "user")
        self.contexts = _named(document, "contexts", "context")
        for entry in (*self.clusters.values(), *self.users.values()):
            for key in _DATA_FIELDS:
                if entry.get(key):
                    _decode_base64(_text(entry, key))
            for key in _PATH_FIELDS:
                if entry.get(key) and not _text(entry, key).startswith("/"):
                    entry[key] = str(Path(path).parent / _text(entry, key))

    def resolve(self, context: str = "") -> RESTConfig:
        """The client configuration of `context`, or of the current one. Raises KubeconfigError."""
        name = context or self.current_context
        chosen = self.contexts.get(name, {})
        user_name, cluster_name = _text(chosen, "user"), _text(chosen, "cluster")
        user, cluster = self.users.get(user_name, {}), self.clusters.get(cluster_name, {})
        errors = []
        if name and name not in self.contexts:
            errors.append(f"context was not found for specified context: {name}")
        errors += user_errors(user_name, user)
        errors += cluster_errors(cluster_name, cluster)
        if errors == [_EMPTY_CLUSTER]:
            errors = [_EMPTY]
        if errors:
            raise KubeconfigError(f"invalid configuration: {join_errors(errors)}")
        return _rest_config(cluster, user, _text(chosen, "namespace"))


def _rest_config(cluster: Entry, user: Entry, namespace: str) -> RESTConfig:
    def data(entry: Entry, key: str) -> bytes:
        return _decode_base64(_text(entry, key)) if entry.get(key) else b""

    def path(entry: Entry, key: str) -> str:
        return "" if entry.get(f"{key}-data") else _text(entry, key)

    server = _text(cluster, "server")
    if "://" not in server:
        server = f"http://{server}"
    user = user if server.startswith("https://") else {}
    token_file = _text(user, "tokenFile")
    token = _text(user, "token")
    if token_file and not token:
        try:
            token = Path(token_file).read_text().strip()
        except OSError as error:
            raise KubeconfigError(path_error("open", token_file, error)) from error
    return RESTConfig(
        server=server.rstrip("/"),
        ca_file=path(cluster, "certificate-authority"),
        ca_data=data(cluster, "certificate-authority-data"),
        cert_file=path(user, "client-certificate"),
        cert_data=data(user, "client-certificate-data"),
        key_file=path(user, "client-key"),
        key_data=data(user, "client-key-data"),
        token=token,
        token_file=token_file,
        insecure=cluster.get("insecure-skip-tls-verify") is True,
        server_name=_text(cluster, "tls-server-name"),
        namespace=namespace,
    )


def _open_error(path: str) -> str | None:
    try:
        with Path(path).open("rb"):
            return None
    except OSError as error:
        return path_error("open", path, error)


def user_errors(name: str, user: Entry) -> list[str]:
    """What client-go's validateAuthInfo says about a user entry."""
    errors = []
    methods = [word for word, key in (("token", "token"), ("basicAuth", "username")) if user.get(key)]
    certificate, certificate_data = user.get("client-certificate"), user.get("client-certificate-data")
    key, key_data = user.get("client-key"), user.get("client-key-data")
    if certificate or certificate_data:
        if certificate and certificate_data:
            errors.append(
                f"client-cert-data and client-cert are both specified for {name}. client-cert-data will override."
            )
        if key and key_data:
            errors.append(
                f"client-key-data and client-key are both specified for {name}; client-key-data will override"
            )
        if not key and not key_data:
            errors.append(
                f"client-key-data or client-key must be specified for {name} "
                "to use the clientCert authentication method."
            )
        for what, path in (("client-cert", certificate), ("client-key", key)):
            problem = _open_error(str(path)) if path else None
            if problem:
                errors.append(f"unable to read {what} {path} for {name} due to {problem}")
    if len(methods) > 1:
        errors.append(
            f"more than one authentication method found for {name}; found [{' '.join(methods)}], only one is allowed"
        )
    return errors


def cluster_errors(name: str, cluster: Entry) -> list[str]:
    """What client-go's validateClusterInfo says about a cluster entry."""
    if not any(cluster.values()):
        return [_EMPTY_CLUSTER]
    errors = []
    if not cluster.get("server"):
        errors.append(f"no server found for cluster {quote(name)}" if name else "default cluster has no server defined")
    authority = cluster.get("certificate-authority")
    if authority and cluster.get("certificate-authority-data"):
        errors.append(
            f"certificate-authority-data and certificate-authority are both specified for {name}. "
            "certificate-authority-data will override."
        )
    problem = _open_error(str(authority)) if authority else None
    if problem:
        errors.append(f"unable to read certificate-authority {authority} for {name} due to {problem}")
    return errors


def load(path: str) -> Kubeconfig:
    """Read a kubeconfig. Raises KubeconfigError (`stat P: no such file…`, `error loading config file "P": …`)."""
    try:
        Path(path).stat()
    except OSError as error:
        raise KubeconfigError(path_error("stat", path, error)) from error
    prefix = f"error loading config file {quote(path)}: "
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        operation = "read" if isinstance(error, IsADirectoryError) else "open"
        raise KubeconfigError(prefix + path_error(operation, path, error)) from error
    try:
        return Kubeconfig(path, as_document(goyaml.load(data)[0]))
    except (goyaml.YAMLError, KubeconfigError) as error:
        raise KubeconfigError(f"{prefix}{error}") from error


def as_document(value: object) -> Entry:
    """The mapping that a file is. Raises KubeconfigError with the JSON decoder's words for anything else."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise KubeconfigError(
        f"couldn't get version/kind; json parse error: json: cannot unmarshal {_go_kind(value)} into Go value of type "
        'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
    )

"""`kubeadm token`: bootstrap tokens, Secrets of kube-system.

Source: kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens, cmd/kubeadm/app/cmd/token.go.
"""

import base64
import calendar
import re
import secrets
import string
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cka_kubelet.kube.age import short_human_duration
from cka_kubelet.kube.tabwriter import tabulate
from cka_kubelet.kubeadm.errors import Failure

SECRETS = "/api/v1/namespaces/kube-system/secrets"
KIND = "bootstrap.kubernetes.io/token"
ID_PATTERN = r"\A[a-z0-9]{6}\z"
TOKEN_PATTERN = r"\A([a-z0-9]{6})\.([a-z0-9]{16})\z"  # noqa: S105 - a pattern
USAGES = ("signing", "authentication")
GROUP = "system:bootstrappers:kubeadm:default-node-token"
_ALPHABET = string.ascii_lowercase + string.digits
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")


def generate() -> str:
    """A new token, `<id>.<secret>`."""
    first, second = ("".join(secrets.choice(_ALPHABET) for _ in range(count)) for count in (6, 16))
    return f"{first}.{second}"


def secret_of(
    token: str, ttl: float, now: float, usages: Sequence[str], groups: Sequence[str], description: str
) -> dict[str, Any]:
    """The Secret that makes a token valid for `ttl` seconds, for ever with 0. Raises Failure."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise Failure(f'the bootstrap token "{token}" was not of the form "{TOKEN_PATTERN}"')
    data = {"token-id": match[1], "token-secret": match[2]}
    if ttl > 0:
        data["expiration"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + ttl))
    if description:
        data["description"] = description
    data |= {f"usage-bootstrap-{usage}": "true" for usage in usages}
    if groups:
        data["auth-extra-groups"] = ",".join(groups)
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": f"bootstrap-token-{match[1]}", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "Secret", "type": KIND, "metadata": metadata, "data": encoded}


def secret_name(text: str) -> tuple[str, str]:
    """(token id, name of its Secret) of an id or a whole token. Raises Failure."""
    match = re.fullmatch(r"([a-z0-9]{6})(\.[a-z0-9]{16})?", text)
    if match is None:
        raise Failure(f'given token didn\'t match pattern "{ID_PATTERN}" or "{TOKEN_PATTERN}"')
    return match[1], f"bootstrap-token-{match[1]}"


def table(items: Sequence[Mapping[str, Any]], now: float) -> str:
    """The table of `token list`; nothing when there is no token."""
    rows = [_row(item, now) for item in items if item.get("type") == KIND]
    if not rows:
        return ""
    return tabulate([("TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"), *rows], minimum=10)


def _row(secret: Mapping[str, Any], now: float) -> tuple[str, ...]:
    data = {
        key: base64.b64decode(value).decode("utf-8", "replace") for key, value in (secret.get("data") or {}).items()
    }
    ttl, expires = "<forever>", "<never>"
    if expiration := data.get("expiration"):
        ttl = short_human_duration(int(calendar.timegm(time.strptime(expiration[:19], "%Y-%m-%dT%H:%M:%S")) - now))
        expires = expiration
    prefix = "usage-bootstrap-"
    usages = sorted(key.removeprefix(prefix) for key in data if key.startswith(prefix) and data[key] == "true")
    groups = ",".join(sorted(filter(None, data.get("auth-extra-groups", "").split(","))))
    token = f"{data.get('token-id', '')}.{data.get('token-secret', '')}"
    return token, ttl, expires, ",".join(usages) or "<none>", data.get("description") or "<none>", groups or "<none>"

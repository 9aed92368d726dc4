"""Service account tokens: JWTs signed with RS256, in plain Python (nodes have no crypto library).

The key file is what kubeadm makes: a PEM RSA private key, PKCS#1 or PKCS#8. Signing is RSASSA-PKCS1-v1_5 (RFC 8017).
"""

import base64
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----\s(.*?)-----END", re.DOTALL)
_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30
LEGACY_AUDIENCE = "https://kubernetes.default.svc.cluster.local"


class TokenError(Exception):
    """The token is not ours, is expired or does not parse. Never holds the token."""


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the DER element at an offset."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(data[at : at + size], "big"), at + size
    return tag, at, at + length


def _integers(der: bytes) -> list[int]:
    """The numbers of an RSAPrivateKey, whether bare or wrapped in a PrivateKeyInfo."""
    _, at, end = _element(der, 0)
    numbers: list[int] = []
    while at < end:
        tag, start, stop = _element(der, at)
        if tag == _OCTETS and len(numbers) == 1:
            return _integers(der[start:stop])
        if tag == _INTEGER:
            numbers.append(int.from_bytes(der[start:stop], "big"))
        at = stop
    return numbers


class PublicKey(NamedTuple):
    """An RSA key to check signatures with."""

    modulus: int
    exponent: int

    def verifies(self, signature: int, message: bytes) -> bool:
        """Whether the signature is one of the message (RSASSA-PKCS1-v1_5 with SHA-256)."""
        size = (self.modulus.bit_length() + 7) // 8
        if signature >= self.modulus:
            return False
        plain = pow(signature, self.exponent, self.modulus).to_bytes(size, "big")
        return hmac.compare_digest(plain, _padded(message, size))


def public_keys(path: str) -> list[PublicKey]:
    """The RSA keys of a PEM file, of private ones their public half. Raises OSError."""
    found = []
    for label, body in _PEM.findall(Path(path).read_text("ascii", "replace")):
        try:
            der = base64.b64decode(body)
            numbers = _integers(der) if label.endswith("PRIVATE KEY") else _public_integers(der)
        except (IndexError, ValueError):
            continue
        if label.endswith("PRIVATE KEY"):
            numbers = numbers[1:3]
        if len(numbers) == 2:
            found.append(PublicKey(*numbers))
    return found


def _public_integers(der: bytes) -> list[int]:
    """Modulus and exponent of an RSAPublicKey, whether bare or in a SubjectPublicKeyInfo."""
    _, at, end = _element(der, 0)
    tag, start, stop = _element(der, at)
    if tag == _SEQUENCE:
        _, start, stop = _element(der, stop)
        return _public_integers(der[start + 1 : stop])  # a bit string begins with how many bits are unused
    numbers = []
    while at < end:
        _, start, stop = _element(der, at)
        numbers.append(int.from_bytes(der[start:stop], "big"))
        at = stop
    return numbers


def _padded(message: bytes, size: int) -> bytes:
    digest = _SHA256_PREFIX + hashlib.sha256(message).digest()
    return b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest


class TokenSigner:
    """Makes and checks tokens. Raises OSError or ValueError for a bad key file.

    `trusted`: PEM files of the keys whose signatures count; without them the own key's.
    """

    def __init__(self, key_file: str, issuer: str = LEGACY_AUDIENCE, trusted: Sequence[str] = ()) -> None:
        text = Path(key_file).read_text("ascii")
        body = "".join(line for line in text.splitlines() if line and not line.startswith("-----"))
        try:
            numbers = _integers(base64.b64decode(body))
        except (IndexError, ValueError) as error:
            raise ValueError(f"{key_file}: not a PEM RSA private key") from error
        if len(numbers) < 4 or numbers[1].bit_length() < 1024:
            raise ValueError(f"{key_file}: not a PEM RSA private key")
        self._n, self._e, self._d = numbers[1], numbers[2], numbers[3]
        self._primes = numbers[4:9] if len(numbers) >= 9 else []
        self._size = (self._n.bit_length() + 7) // 8
        self.issuer = issuer
        self._key_id = _b64(hashlib.sha256(self._n.to_bytes(self._size, "big")).digest())
        self._trusted = [key for path in trusted for key in public_keys(path)]
        if not trusted:
            self._trusted = [PublicKey(self._n, self._e)]

    def issue(self, claims: dict[str, Any]) -> str:
        """A signed token with these claims; `iss` and `jti` are added."""
        head = {"alg": "RS256", "kid": self._key_id}
        claims = {**claims, "iss": self.issuer, "jti": str(uuid.uuid4())}
        parts = [_b64(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims)]
        message = ".".join(parts).encode()
        signature = self._sign(int.from_bytes(_padded(message, self._size), "big"))
        return f"{message.decode()}.{_b64(signature.to_bytes(self._size, 'big'))}"

    def _sign(self, message: int) -> int:
        """`message` to the private power, by the Chinese remainder theorem: a quarter of the time (RFC 8017, 5.1.2)."""
        if not self._primes:
            return pow(message, self._d, self._n)
        p, q, exponent_p, exponent_q, inverse = self._primes
        second = pow(message % q, exponent_q, q)
        return second + q * (inverse * (pow(message % p, exponent_p, p) - second) % p)

    def verify(self, token: str, now: float) -> dict[str, Any]:
        """The claims of a good token. Raises TokenError."""
        try:
            head, body, signature = token.split(".")
            algorithm = json.loads(_unb64(head)).get("alg")
            claims = json.loads(_unb64(body))
            number = int.from_bytes(_unb64(signature), "big")
        except (ValueError, AttributeError) as error:
            raise TokenError("invalid bearer token") from error
        if algorithm != "RS256" or not isinstance(claims, dict):
            raise TokenError("invalid bearer token")
        if not any(key.verifies(number, f"{head}.{body}".encode()) for key in self._trusted):
            raise TokenError("invalid bearer token")
        if claims.get("iss") != self.issuer:
            raise TokenError("invalid bearer token")
        if float(claims.get("exp") or 0) < now:
            raise TokenError("token is expired")
        return claims


def service_account_claims(
    account: dict[str, Any], audiences: list[str], now: float, seconds: int, pod: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Claims of a bound token for a ServiceAccount object, perhaps bound to a pod."""
    metadata = account["metadata"]
    private: dict[str, Any] = {
        "namespace": metadata["namespace"],
        "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
    }
    if pod is not None:
        private["pod"] = {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        node = (pod.get("spec") or {}).get("nodeName")
        if node:
            private["node"] = {"name": node}
    return {
        "aud": audiences,
        "exp": int(now) + seconds,
        "iat": int(now),
        "nbf": int(now),
        "kubernetes.io": private,
        "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
    }

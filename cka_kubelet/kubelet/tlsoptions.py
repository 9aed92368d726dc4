"""tlsCipherSuites and tlsMinVersion: Go's names, checked as upstream does, for OpenSSL (component-base cli/flag)."""

import ssl
from typing import NamedTuple

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kubelet.configuration import KubeletConfiguration

_VERSIONS = {
    "": ssl.TLSVersion.TLSv1_2,
    "VersionTLS10": ssl.TLSVersion.TLSv1,
    "VersionTLS11": ssl.TLSVersion.TLSv1_1,
    "VersionTLS12": ssl.TLSVersion.TLSv1_2,
    "VersionTLS13": ssl.TLSVersion.TLSv1_3,
}
_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_GOOD = {
    "AES_128_CBC_SHA": "AES128-SHA",
    "AES_256_CBC_SHA": "AES256-SHA",
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "CHACHA20_POLY1305": "CHACHA20-POLY1305",
    "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
}
_BAD = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA": "ECDHE-ECDSA-RC4-SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA": "ECDHE-RSA-DES-CBC3-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA": "ECDHE-RSA-RC4-SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA": "DES-CBC3-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_RC4_128_SHA": "RC4-SHA",
}


class TLSOptionError(ValueError):
    """A name is unknown. str() is upstream's message."""


class TLSOptions(NamedTuple):
    """For an SSLContext: the least version, and OpenSSL's cipher list, "" for the usual one."""

    version: ssl.TLSVersion
    ciphers: str


def _known() -> dict[str, str]:
    strong = {
        f"TLS_ECDHE_{kind}_WITH_{name}": f"ECDHE-{kind}-{openssl}"
        for kind in ("ECDSA", "RSA") for name, openssl in _GOOD.items()
    }  # fmt: skip
    return {**dict.fromkeys(_TLS13, ""), **strong, **_BAD}


def parse(config: KubeletConfiguration) -> TLSOptions:
    """From the configuration, after the lines upstream logs about it. Raises TLSOptionError."""
    names, known = [str(name) for name in config.get("tlsCipherSuites") or []], _known()
    for name in names:
        if name not in known:
            raise TLSOptionError(f"Cipher suite {name} not supported or doesn't exist")
    for name in names:
        if name in _BAD:
            klog.info("server.go:1060", "Use of insecure cipher detected.", cipher=name)
    minimum = str(config.get("tlsMinVersion") or "")
    if minimum not in _VERSIONS:
        raise TLSOptionError(f"unknown tls version {quote(minimum)}")
    version = _VERSIONS[minimum]
    if version is ssl.TLSVersion.TLSv1_3 and names:
        text = "Warning: TLS 1.3 cipher suites are not configurable, ignoring --tls-cipher-suites"
        klog.info("server.go:1073", text)
        names = []
    return TLSOptions(version, ":".join(known[name] for name in names if known[name]))

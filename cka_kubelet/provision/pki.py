"""A cluster's certificates, as `kubeadm init` makes them: names, subjects, organizations, usages and lifetimes.

Source: kubernetes.io/docs/setup/best-practices/certificates. Leaf certificates 1 year, authorities 10 years, RSA 2048.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class NodeName:
    """What a node's certificates are made out to."""

    name: str
    address: str


def make_pki(
    control_plane: NodeName, nodes: Sequence[NodeName], service_ip: str, now: datetime, *, etcd: bool = False
) -> dict[str, bytes]:
    """Every file of the cluster's PKI by a path of its own: `ca.crt`, `apiserver.key`, `sa.pub`, `nodes/node01.pem`, …

    `service_ip` is the first address of the service range. `now` starts all lifetimes (less an hour for skewed clocks).
    `etcd`: with what an etcd on the control plane and its clients need.
    """
    start = now - timedelta(hours=1)
    ca_key, ca = _authority("kubernetes", start)
    front_key, front = _authority("front-proxy-ca", start)
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    sans = _sans([*names, control_plane.name, "localhost"], [service_ip, control_plane.address, "127.0.0.1"])
    pairs: dict[str, Pair] = {
        "ca": _pair(ca, ca_key),
        "front-proxy-ca": _pair(front, front_key),
        "apiserver": _leaf(
            ca, ca_key, "kube-apiserver", (), start, sans=sans, usages=(ExtendedKeyUsageOID.SERVER_AUTH,)
        ),
        "apiserver-kubelet-client": _leaf(ca, ca_key, "kube-apiserver-kubelet-client", (), start),
        "front-proxy-client": _leaf(front, front_key, "front-proxy-client", (), start),
        "users/admin": _leaf(ca, ca_key, "kubernetes-admin", ("kubeadm:cluster-admins",), start),
        "users/super-admin": _leaf(ca, ca_key, "kubernetes-super-admin", ("system:masters",), start),
        "users/controller-manager": _leaf(ca, ca_key, "system:kube-controller-manager", (), start),
        "users/scheduler": _leaf(ca, ca_key, "system:kube-scheduler", (), start),
    }
    if etcd:
        pairs |= _etcd(control_plane, start)
    files = {f"{name}.crt": pair.certificate for name, pair in pairs.items()}
    files |= {f"{name}.key": pair.key for name, pair in pairs.items()}
    for node in nodes:
        pair = _leaf(ca, ca_key, f"system:node:{node.name}", ("system:nodes",), start)
        files[f"nodes/{node.name}.pem"] = pair.certificate + pair.key
    files |= _service_account_keys()
    return files


def _etcd(node: NodeName, start: datetime) -> dict[str, Pair]:
    """Source: cmd/kubeadm/app/phases/certs/certlist.go. Members are servers and clients of each other."""
    key, ca = _authority("etcd-ca", start)
    sans = _sans([node.name, "localhost"], [node.address, "127.0.0.1", "::1"])
    both = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    return {
        "etcd/ca": _pair(ca, key),
        "etcd/server": _leaf(ca, key, node.name, (), start, sans=sans, usages=both),
        "etcd/peer": _leaf(ca, key, node.name, (), start, sans=sans, usages=both),
        "etcd/healthcheck-client": _leaf(ca, key, "kube-etcd-healthcheck-client", (), start),
        "apiserver-etcd-client": _leaf(ca, key, "kube-apiserver-etcd-client", (), start),
    }


def expiry(files: Mapping[str, bytes]) -> datetime:
    """When the cluster's leaf certificates end; what decides whether a prepared image is still good."""
    return x509.load_pem_x509_certificate(files["apiserver.crt"]).not_valid_after_utc


def _authority(name: str, start: datetime) -> tuple[RSAPrivateKey, x509.Certificate]:
    key = generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _builder(subject, subject, key, start, 10 * _YEAR)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def _leaf(
    ca: x509.Certificate,
    ca_key: RSAPrivateKey,
    name: str,
    organizations: Sequence[str],
    start: datetime,
    *,
    sans: x509.SubjectAlternativeName | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
) -> Pair:
    key = generate_private_key(65537, 2048)
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(subject, ca.subject, key, start, _YEAR)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    if sans is not None:
        builder = builder.add_extension(sans, critical=False)
    return _pair(builder.sign(ca_key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: RSAPrivateKey, start: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start.astimezone(UTC))
        .not_valid_after(start.astimezone(UTC) + lifetime)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_encipherment=True, key_cert_sign=signs_certificates,
        content_commitment=False, data_encipherment=False, key_agreement=False, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _sans(names: Sequence[str], addresses: Sequence[str]) -> x509.SubjectAlternativeName:
    by_address = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    return x509.SubjectAlternativeName([*(x509.DNSName(name) for name in names), *by_address])


def _pair(certificate: x509.Certificate, key: RSAPrivateKey) -> Pair:
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def _key_pem(key: RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _service_account_keys() -> dict[str, bytes]:
    key = generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"sa.key": _key_pem(key), "sa.pub": public}

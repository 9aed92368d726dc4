"""etcd's certificates are made out as kubeadm makes them out."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cka_kubelet.provision.pki import NodeName, make_pki

NODE = NodeName("controlplane", "172.30.1.2")
BOTH = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_etcds_certificates() -> None:
    files = make_pki(NODE, [NODE], "10.96.0.1", datetime(2026, 1, 1, tzinfo=UTC), etcd=True)
    authority = x509.load_pem_x509_certificate(files["etcd/ca.crt"])
    wanted = {
        "etcd/server": ("controlplane", BOTH),
        "etcd/peer": ("controlplane", BOTH),
        "etcd/healthcheck-client": ("kube-etcd-healthcheck-client", {ExtendedKeyUsageOID.CLIENT_AUTH}),
        "apiserver-etcd-client": ("kube-apiserver-etcd-client", {ExtendedKeyUsageOID.CLIENT_AUTH}),
    }
    for name, (subject, usages) in wanted.items():
        found = x509.load_pem_x509_certificate(files[f"{name}.crt"])
        found.verify_directly_issued_by(authority)
        assert [attribute.value for attribute in found.subject] == [subject]
        assert set(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == usages
    assert authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "etcd-ca"
    server = x509.load_pem_x509_certificate(files["etcd/server.crt"])
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["controlplane", "localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["172.30.1.2", "127.0.0.1", "::1"]


def test_without_etcd_none_of_them_is_made() -> None:
    files = make_pki(NODE, [NODE], "10.96.0.1", datetime(2026, 1, 1, tzinfo=UTC))
    assert not [name for name in files if "etcd" in name]

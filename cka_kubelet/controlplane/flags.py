"""Command line flags, named as upstream's kube-apiserver and kube-controller-manager name them."""

import argparse
from typing import NamedTuple

from cka_kubelet.kube.gofmt import parse_duration


class Options(NamedTuple):
    """What the command line says. Durations in seconds."""

    secure_port: int
    bind_address: str
    advertise_address: str
    tls_cert_file: str
    tls_private_key_file: str
    client_ca_file: str
    kubelet_client_certificate: str
    kubelet_client_key: str
    kubelet_certificate_authority: str
    service_account_key_file: str
    service_account_signing_key_file: str
    service_account_issuer: str
    service_cluster_ip_range: str
    cluster_cidr: str
    root_ca_file: str
    cluster_signing_cert_file: str
    cluster_signing_key_file: str
    node_monitor_grace_period: float
    node_monitor_period: float
    data_dir: str
    etcd_servers: str
    etcd_cafile: str
    etcd_certfile: str
    etcd_keyfile: str
    etcd_prefix: str
    etcd_compaction_interval: float
    v: int


_PKI = "/etc/kubernetes/pki"
_DEFAULTS = {
    "bind-address": "0.0.0.0",  # noqa: S104  # upstream's default
    "advertise-address": "",
    "tls-cert-file": f"{_PKI}/apiserver.crt",
    "tls-private-key-file": f"{_PKI}/apiserver.key",
    "client-ca-file": f"{_PKI}/ca.crt",
    "kubelet-client-certificate": "",
    "kubelet-client-key": "",
    "kubelet-certificate-authority": "",
    "service-account-key-file": "",
    "service-account-signing-key-file": "",
    "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
    "service-cluster-ip-range": "10.96.0.0/12",
    "cluster-cidr": "10.244.0.0/16",
    "root-ca-file": "",
    "cluster-signing-cert-file": "",
    "cluster-signing-key-file": "",
    "data-dir": "/var/lib/cka-control-plane",
    "etcd-servers": "",
    "etcd-cafile": "",
    "etcd-certfile": "",
    "etcd-keyfile": "",
    "etcd-prefix": "/registry",
}


def _duration(text: str) -> float:
    return parse_duration(text)


def parse(argv: list[str]) -> Options:
    """The options. Exits with 2 and a usage text for a flag that does not exist, as argparse does."""
    parser = argparse.ArgumentParser(prog="kube-apiserver", allow_abbrev=False)
    parser.add_argument("--secure-port", type=int, default=6443)
    for name, default in _DEFAULTS.items():
        parser.add_argument(f"--{name}", default=default)
    parser.add_argument("--node-monitor-grace-period", type=_duration, default=50.0)
    parser.add_argument("--node-monitor-period", type=_duration, default=5.0)
    parser.add_argument("--etcd-compaction-interval", type=_duration, default=300.0)
    parser.add_argument("-v", "--v", type=int, default=0)
    found = vars(parser.parse_args(argv))
    return Options(**found)

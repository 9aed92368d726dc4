"""Who gets a kubelet's client certificate without a person: RBAC decides, over an API in memory."""

import asyncio
import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.controlplane.controllers import approving
from cka_kubelet.controlplane.controllers.approving import Approver, Wanted, recognized
from cka_kubelet.controlplane.controllers.informer import Informer
from cka_kubelet.controlplane.registry import User
from tests.unit.controlplane import api

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
USAGES = ["digital signature", "client auth"]
SPEC: dict[str, Any] = {
    "signerName": "kubernetes.io/kube-apiserver-client-kubelet", "username": "system:node:node01", "usages": USAGES,
}  # fmt: skip
NODE = Wanted("system:node:node01", ("system:nodes",), False)
BOOTSTRAP = User(
    "system:bootstrap:abcdef", ("system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token",
                                "system:authenticated"),
)  # fmt: skip


def test_only_what_a_kubelet_asks_for_is_recognized() -> None:
    assert recognized(SPEC, NODE) == ["selfnodeclient", "nodeclient"]
    assert recognized({**SPEC, "username": "jane"}, NODE) == ["nodeclient"]
    assert recognized({**SPEC, "signerName": "kubernetes.io/kubelet-serving"}, NODE) == []
    assert recognized({**SPEC, "usages": ["server auth"]}, NODE) == []
    assert recognized(SPEC, NODE._replace(common_name="jane")) == []
    assert recognized(SPEC, NODE._replace(organizations=("system:masters",))) == []
    assert recognized(SPEC, NODE._replace(other_names=True)) == []


@pytest.fixture(name="pem", scope="module")
def _pem(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder: Path = tmp_path_factory.mktemp("csr")
    command = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
               str(folder / "key"), "-subj", "/O=system:nodes/CN=system:node:node01"]  # fmt: skip
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_a_request_is_read_by_openssl(pem: bytes) -> None:
    assert asyncio.run(approving.parse(pem)) == NODE
    assert asyncio.run(approving.parse(b"junk")) == Wanted("", (), False)


async def _conditions(pem: bytes, asks: User, *, without: str = "") -> tuple[list[str], float | None]:
    """The messages of the request's conditions after one pass, and when the approver wants to look again."""
    resources = api.resources()
    client = api.client(resources)
    if without:
        await client.delete(f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{without}")
    body = {
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "csr-1"},
        "spec": {"request": base64.b64encode(pem).decode(), "signerName": SPEC["signerName"], "usages": USAGES},
    }  # fmt: skip
    made = await api.client(resources, asks).create(REQUESTS, body)
    requests = Informer(client, REQUESTS)
    requests.items[made["metadata"]["name"]] = made
    wait = await Approver(client, requests, lambda: 1_800_000_000.0, lambda: 50.0).sync()
    found = await client.get(f"{REQUESTS}/csr-1")
    return [c["message"] for c in found["status"].get("conditions") or ()], wait


def test_a_bootstrap_token_gets_a_nodes_certificate_only_while_a_binding_says_so(pem: bytes) -> None:
    assert asyncio.run(_conditions(pem, BOOTSTRAP)) == (
        ["Auto approving kubelet client certificate after SubjectAccessReview."], None,
    )  # fmt: skip
    refused = asyncio.run(_conditions(pem, BOOTSTRAP, without="kubeadm:node-autoapprove-bootstrap"))
    assert refused == ([], pytest.approx(0.2))


def test_a_node_gets_its_own_next_certificate_only_while_a_binding_says_so(pem: bytes) -> None:
    node = User("system:node:node01", ("system:nodes", "system:authenticated"))
    assert asyncio.run(_conditions(pem, node)) == (
        ["Auto approving self kubelet client certificate after SubjectAccessReview."], None,
    )  # fmt: skip
    refused = asyncio.run(_conditions(pem, node, without="kubeadm:node-autoapprove-certificate-rotation"))
    assert refused[0] == []

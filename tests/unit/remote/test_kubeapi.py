"""The trainer's own way to the API server: through a node's connection, believing nobody but the cluster's CA."""

import base64
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.errors import CommandError, NodeError, NodeUnreachableError
from cka_kubelet.provision.pki import NodeName, make_pki
from cka_kubelet.remote.kubeapi import SSHKubeAPI

NODE = NodeName("controlplane", "127.0.0.1")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    body = b'{"kind": "NodeList", "items": []}'

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        pass


class Gateway:
    """A control plane with a kubeconfig and a way to its API server."""

    name = "controlplane"

    def __init__(self, port: int, pki: dict[str, bytes]) -> None:
        self.port = port
        self.connections = 0
        self.kubeconfig = json.dumps(
            {
                "clusters": [
                    {
                        "cluster": {
                            "server": f"https://127.0.0.1:{port}",
                            "certificate-authority-data": text(pki["ca.crt"]),
                        }
                    }
                ],
                "users": [
                    {
                        "user": {
                            "client-certificate-data": text(pki["users/admin.crt"]),
                            "client-key-data": text(pki["users/admin.key"]),
                        }
                    }
                ],
            }
        ).encode()

    def read_file(self, path: str) -> bytes:
        assert path == "/etc/kubernetes/admin.conf"
        return self.kubeconfig

    def connect(self, host: str, port: int) -> socket.socket:
        self.connections += 1
        try:
            return socket.create_connection((host, self.port), timeout=5)
        except OSError as err:
            raise NodeUnreachableError(str(err)) from None


def text(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def new_pki() -> dict[str, bytes]:
    return make_pki(NODE, [NODE], "10.96.0.1", datetime.now(UTC))


@pytest.fixture(scope="module")
def pki() -> dict[str, bytes]:
    return new_pki()


@pytest.fixture
def server(tmp_path: Path, pki: dict[str, bytes]) -> Iterator[http.server.ThreadingHTTPServer]:
    pair = tmp_path / "pair.pem"
    pair.write_bytes(pki["apiserver.crt"] + pki["apiserver.key"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    handler = type("OneHandler", (Handler,), {})
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made.socket = context.wrap_socket(made.socket, server_side=True)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_one_connection_serves_many_requests(server: http.server.ThreadingHTTPServer, pki: dict[str, bytes]) -> None:
    gateway = Gateway(server.server_address[1], pki)
    api = SSHKubeAPI(gateway)
    for _ in range(3):
        answer = api.request("GET", "/api/v1/nodes")
        assert (answer.status, answer.body["items"]) == (200, [])
        assert abs(answer.date - datetime.now(UTC).timestamp()) < 60
    assert gateway.connections == 1
    api.close()


def test_credentials_are_read_once(server: http.server.ThreadingHTTPServer, pki: dict[str, bytes]) -> None:
    gateway = Gateway(server.server_address[1], pki)
    api = SSHKubeAPI(gateway)
    api.request("GET", "/api/v1/nodes")
    gateway.kubeconfig = b"edited by whoever is root there"
    api.close()
    assert api.request("GET", "/api/v1/nodes").status == 200
    api.close()


def test_another_server_in_its_place_is_not_believed(
    server: http.server.ThreadingHTTPServer, pki: dict[str, bytes]
) -> None:
    gateway = Gateway(server.server_address[1], {**pki, "ca.crt": new_pki()["ca.crt"]})
    with pytest.raises(NodeUnreachableError, match="certificate verify failed"):
        SSHKubeAPI(gateway).request("GET", "/api/v1/nodes")


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff"])
def test_an_answer_of_no_use_is_said(
    body: bytes, server: http.server.ThreadingHTTPServer, pki: dict[str, bytes]
) -> None:
    server.RequestHandlerClass.body = body  # type: ignore[attr-defined]
    with pytest.raises(CommandError, match="no usable answer"):
        SSHKubeAPI(Gateway(server.server_address[1], pki)).request("GET", "/api/v1/nodes")


@pytest.mark.parametrize("kubeconfig", [b"", b"a: [", b"clusters: []", b"\x00"])
def test_a_broken_kubeconfig_is_said(kubeconfig: bytes, pki: dict[str, bytes]) -> None:
    gateway = Gateway(1, pki)
    gateway.kubeconfig = kubeconfig
    with pytest.raises(NodeError, match="not a kubeconfig"):
        SSHKubeAPI(gateway).request("GET", "/api/v1/nodes")


def test_a_dead_api_server_is_said(pki: dict[str, bytes]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NodeUnreachableError):
        SSHKubeAPI(Gateway(port, pki)).request("GET", "/api/v1/nodes")

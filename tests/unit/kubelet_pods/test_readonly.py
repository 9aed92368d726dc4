"""What `readOnlyPort` answers without TLS and without asking who it is."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.server.app import KubeletServer


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


async def status(port: int, method: str, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


def test_read_only_port_shows_health_and_pods_and_nothing_that_needs_rights() -> None:
    async def run() -> dict[tuple[str, str], int]:
        port, read_only = free_ports()
        config = {"address": "127.0.0.1", "port": port, "readOnlyPort": read_only, "authorization": {"mode": "Webhook"}}
        pods: Any = SimpleNamespace(pods=list, pleg=SimpleNamespace(cache={}))
        deps: Any = SimpleNamespace(
            config=KubeletConfiguration(config), api=None, node_name="node01", cri=None, root_dir="/", serving=None,
            fatal=lambda code: None, cgroup_version=1,
        )  # fmt: skip
        server = KubeletServer(deps, pods)
        await server.start()
        asked = [("HEAD", "/healthz"), ("GET", "/healthz"), ("GET", "/pods"), ("POST", "/pods"), ("GET", "/configz"),
                 ("GET", "/runningpods/"), ("POST", "/exec/a/b/c"), ("GET", "/logs/")]  # fmt: skip
        answers = {a: await status(read_only, *a) for a in asked}
        answers["GET", "10250"] = await status(port, "GET", "/pods")
        await server.stop()
        return answers

    assert asyncio.run(run()) == {
        ("HEAD", "/healthz"): 200, ("GET", "/healthz"): 200, ("GET", "/pods"): 200, ("POST", "/pods"): 405,
        ("GET", "/configz"): 404, ("GET", "/runningpods/"): 404, ("POST", "/exec/a/b/c"): 404, ("GET", "/logs/"): 404,
        ("GET", "10250"): 401,
    }  # fmt: skip

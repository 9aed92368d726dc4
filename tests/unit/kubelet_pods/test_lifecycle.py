"""Hooks: what fails them, and what the log and the container's status say of it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kubelet.pods.lifecycle import HookError, Hooks

POD: dict[str, Any] = {"metadata": {"name": "p", "namespace": "t", "uid": "u"}, "spec": {}}


class CRI:
    """Answers ExecSync with `reply`, or raises it."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply

    async def exec_sync(self, _container: str, _command: list[str]) -> Any:
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


async def run(handler: dict[str, Any], reply: Any = None) -> None:
    cri: Any = CRI(reply)
    await Hooks(cri).run(POD, {"name": "c"}, "id", ["127.0.0.1"], handler)


async def test_a_failing_command_is_told_in_full_by_the_status_only(capfd: pytest.CaptureFixture[str]) -> None:
    reply = SimpleNamespace(exit_code=2, stdout=b"out ", stderr=b"err")
    with pytest.raises(HookError) as caught:
        await run({"exec": {"command": ["/bin/sh", "-c"]}}, reply)
    assert str(caught.value) == "command '/bin/sh -c' exited with 2: err"
    assert caught.value.message == (
        'Exec lifecycle hook ([/bin/sh -c]) for Container "c" in Pod "p_t(u)" failed - error: '
        "command '/bin/sh -c' exited with 2: err, message: \"out err\""
    )
    assert capfd.readouterr().err == ""  # upstream's line is V(1)


async def test_a_runtime_that_fails_fails_the_hook() -> None:
    with pytest.raises(HookError, match="rpc error: code = Unknown desc = no"):
        await run({"exec": {"command": ["x"]}}, RpcError("Unknown", "no"))


async def test_a_command_that_ends_well_is_no_failure() -> None:
    await run({"exec": {"command": ["x"]}}, SimpleNamespace(exit_code=0, stdout=b"", stderr=b""))


async def test_any_answer_over_http_will_do_but_there_must_be_one() -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    handler = {"httpGet": {"path": "/x", "port": port}}
    await run(handler)
    assert b"kube-lifecycle/1.36" in asked[0]
    server.close()
    await server.wait_closed()
    with pytest.raises(HookError) as caught:
        await run(handler)
    start = 'HTTP lifecycle hook (/x) for Container "c" in Pod "p_t(u)" failed - error: Get "http://127.0.0.1:'
    assert caught.value.message.startswith(start)

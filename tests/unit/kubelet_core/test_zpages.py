import json
from typing import Any

import pytest

from cka_kubelet.kube.httpserver import Request, Response
from cka_kubelet.kubelet.server import zpages


async def _nothing(_limit: int) -> bytes:
    return b""


def _ask(page: Any, accept: str, *more: Any) -> Response:
    headers = [("accept", accept)] if accept else []
    request = Request("GET", "/", {}, "", headers, None, "", "", _nothing)
    answer: Response = page(request, *more, lambda: "=")
    return answer


def test_statusz_tells_what_runs() -> None:
    lines = _ask(zpages.statusz, "*/*").body.decode().splitlines()  # type: ignore[union-attr]
    assert lines[:2] == ["", "kubelet statusz"]
    assert lines[4].startswith("Started= ") and lines[5].startswith("Up= 0 hr ")
    assert lines[7:] == [
        "Binary version= 1.36.2", "Emulation version= 1.36", "Paths= /configz /debug /flagz /healthz /metrics",
    ]  # fmt: skip


def test_flagz_tells_every_flag() -> None:
    answer = _ask(zpages.flagz, "", {"v": "2", "address": "::1"})
    assert answer.body.decode().splitlines()[3:] == ["address=::1", "v=2"]  # type: ignore[union-attr]


@pytest.mark.parametrize(("version", "warned"), [("v1beta1", False), ("v1alpha1", True)])
def test_a_version_may_be_asked_for(version: str, warned: bool) -> None:
    answer = _ask(zpages.flagz, f"application/json;as=Flagz;v={version};g=config.k8s.io", {"v": "2"})
    body = json.loads(answer.body)  # type: ignore[arg-type]
    assert body == {
        "kind": "Flagz", "apiVersion": f"config.k8s.io/{version}", "metadata": {"name": "kubelet"}, "flags": {"v": "2"},
    }  # fmt: skip
    assert ("warning" in dict(answer.headers)) is warned


def test_plain_json_is_not_to_be_had() -> None:
    answer = _ask(zpages.statusz, "application/json")
    assert answer.status == 406
    assert json.loads(answer.body)["message"] == (  # type: ignore[arg-type]
        "only the following media types are accepted: application/json, application/yaml, text/plain"
    )

import json
from typing import Any

import pytest

from cka_kubelet.kube.httpserver import Request, Response, serve
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.fromurl import URLPods

_POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}  # fmt: skip


class _Site:
    def __init__(self) -> None:
        self.status, self.body = 200, json.dumps(_POD).encode()
        self.headers: list[tuple[str, str]] = []

    async def answer(self, request: Request) -> Response:
        self.headers = list(request.headers)
        return Response(self.status, [], self.body)


async def _asked(site: _Site, *answers: tuple[int, bytes]) -> tuple[list[dict[str, Any]], str]:
    server = await serve(site.answer, "127.0.0.1", 0)
    told: list[dict[str, Any]] = []
    url = f"http://127.0.0.1:{server.port}/pod.yaml"
    source = URLPods(url, {"X-Token": ["a"]}, "n1", 20, told.append)
    try:
        for status, body in answers or ((site.status, site.body),):
            site.status, site.body = status, body
            await source.ask()
    finally:
        server.close()
    return told, url


async def test_a_pod_is_taken_from_the_url() -> None:
    site = _Site()
    told, _ = await _asked(site, (200, site.body), (200, site.body))
    (pods,) = told  # the second answer was the same
    (pod,) = pods.values()
    assert objects.name(pod) == "web-n1"
    assert objects.is_static(pod)
    assert pod["metadata"]["annotations"]["kubernetes.io/config.source"] == "http"
    assert ("x-token", "a") in site.headers


async def test_a_list_of_pods() -> None:
    other = {**_POD, "metadata": {"name": "db"}}
    body = json.dumps({"apiVersion": "v1", "kind": "PodList", "items": [_POD, other]}).encode()
    told, _ = await _asked(_Site(), (200, body))
    assert sorted(objects.name(pod) for pod in told[0].values()) == ["db-n1", "web-n1"]


async def test_failures_are_told_three_times_and_then_no_more(capfd: pytest.CaptureFixture[str]) -> None:
    site = _Site()
    good = (200, site.body)
    _, url = await _asked(site, *[(404, b"no")] * 6, good)
    lines = [line.split("] ", 1)[1] for line in capfd.readouterr().err.splitlines()]
    problem = f'err="{url}: 404 Not Found"'
    assert lines == [
        *[f'"Failed to read pods from URL" {problem}'] * 3,
        f'"Failed to read pods from URL. Dropping verbosity of this message to V(4)" {problem}',
        '"Successfully read pods from URL"',
    ]


async def test_an_empty_answer_takes_the_pods_away(capfd: pytest.CaptureFixture[str]) -> None:
    told, url = await _asked(_Site(), (200, b""))
    assert told == [{}]
    assert f'err="zero-length data received from {url}"' in capfd.readouterr().err


async def test_something_else_is_no_pod(capfd: pytest.CaptureFixture[str]) -> None:
    told, _ = await _asked(_Site(), (200, b"kind: Deployment\napiVersion: apps/v1\n"))
    assert told == []
    assert 'but couldn\'t parse as single (no kind "Deployment" is registered' in capfd.readouterr().err.replace(
        "\\", ""
    )

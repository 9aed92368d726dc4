"""What :10250 answers: authorization, logs, figures."""

import io
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.kube import exposition
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.server import containerlogs, podsummary, routes, stats, varlog
from cka_kubelet.kubelet.server.auth import Auth, User

LINES = (
    b"2026-11-21T05:00:00.000000001Z stdout F one\n"
    b"2026-11-21T05:00:01.5Z stderr F two\n"
    b"2026-11-21T05:00:02Z stdout P thr\n"
    b"2026-11-21T05:00:02Z stdout F ee\n"
)


class FakeAPI:
    """Answers reviews; keeps what was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[dict[str, Any]] = []

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        return {"status": self.answers[path.rsplit("/", 1)[1]]}


def auth(api: FakeAPI | None, anonymous: bool = False, mode: str = "Webhook") -> Auth:
    config = KubeletConfiguration(
        {
            "authentication": {
                "anonymous": {"enabled": anonymous},
                "webhook": {"enabled": True, "cacheTTL": "2m0s"},
            },
            "authorization": {
                "mode": mode,
                "webhook": {"cacheAuthorizedTTL": "5m0s", "cacheUnauthorizedTTL": "30s"},
            },
        }
    )
    return Auth(config, api, "node01")  # type: ignore[arg-type]  # the fake has the one method that is used


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/pods", ("pods", "proxy")),
        ("/runningpods/", ("pods", "proxy")),
        ("/healthz/ping", ("healthz", "proxy")),
        ("/configz", ("configz", "proxy")),
        ("/metrics/resource", ("metrics",)),
        ("/stats/summary", ("stats",)),
        ("/logs/", ("log",)),
        ("/containerLogs/t/ok/c", ("proxy",)),
        ("/run/t/ok/c", ("proxy",)),
        ("/checkpoint/t/ok/c", ("checkpoint",)),
    ],
)
def test_subresources(path: str, expected: tuple[str, ...]) -> None:
    assert routes.subresources(path) == expected
    assert routes.known(path)


def test_unknown_paths_ask_nobody() -> None:
    assert not routes.known("/nonexistent")
    assert not routes.known("/")
    assert not routes.known("/podsx")


async def test_certificates_tokens_and_nobody() -> None:
    api = FakeAPI(tokenreviews={"authenticated": True, "user": {"username": "sa", "groups": ["g"]}})
    asked = auth(api)
    assert await asked.authenticate("bob", ("dev",), "") == User("bob", ("dev", "system:authenticated"))
    assert await asked.authenticate("", (), "tok") == User("sa", ("g", "system:authenticated"))
    await asked.authenticate("", (), "tok")
    assert len(api.asked) == 1  # the second time from the cache
    assert await asked.authenticate("", (), "") is None
    anonymous = await auth(None, anonymous=True).authenticate("", (), "")
    assert anonymous == User("system:anonymous", ("system:unauthenticated",))


async def test_each_subresource_is_tried_and_the_answer_kept() -> None:
    api = FakeAPI(subjectaccessreviews={"allowed": False})
    asked = auth(api)
    assert not await asked.allowed(User("bob", ()), "get", ("pods", "proxy"))
    assert [a["spec"]["resourceAttributes"]["subresource"] for a in api.asked] == ["pods", "proxy"]
    assert not await asked.allowed(User("bob", ()), "get", ("pods", "proxy"))
    assert len(api.asked) == 2
    assert await auth(None, mode="AlwaysAllow").allowed(User("bob", ()), "get", ("pods",))


def test_tail_finds_lines_from_the_end() -> None:
    for count, expected in ((0, b""), (1, b"c\n"), (2, b"b\nc\n"), (9, b"a\nb\nc\n")):
        file = io.BytesIO(b"a\nb\nc\n")
        file.seek(containerlogs.tail_offset(file, count))
        assert file.read() == expected


async def read(path: Path, **options: Any) -> bytes:
    chunks = containerlogs.read_log(path, containerlogs.LogOptions(**options), lambda: False)
    return b"".join([c async for c in chunks])


async def test_log_lines_are_shown_as_kubectl_expects(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(LINES)
    assert await read(path) == b"one\ntwo\nthree\n"
    assert await read(path, tail=1) == b"ee\n"
    assert await read(path, timestamps=True, tail=1) == b"2026-11-21T05:00:02Z ee\n"
    assert await read(path, limit=5) == b"one\nt"
    assert await read(path, stream="stderr") == b"two\n"
    since = containerlogs.parse_stamp("2026-11-21T05:00:01Z")
    assert await read(path, since=since) == b"two\nthree\n"
    assert await read(path, follow=True) == b"one\ntwo\nthree\n"  # ends with its container


@pytest.mark.parametrize("query", [{"tailLines": ["abc"]}, {"sinceTime": ["yesterday"]}])
def test_queries_that_cannot_be_decoded(query: dict[str, list[str]]) -> None:
    with pytest.raises(containerlogs.LogError, match=r'^\{"message": "Unable to decode query\."\}$') as caught:
        containerlogs.parse_options(query, 0)
    assert caught.value.status == 400


def test_which_container_a_log_request_means() -> None:
    waiting: dict[str, Any] = {"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}, "lastState": {}}
    status = {"containerStatuses": [waiting]}
    with pytest.raises(containerlogs.LogError) as caught:
        containerlogs.container_to_read(status, "c", "p", previous=False)
    assert str(caught.value) == 'container "c" in pod "p" is waiting to start: trying and failing to pull image'
    with pytest.raises(containerlogs.LogError) as caught:
        containerlogs.container_to_read(status, "c", "p", previous=True)
    assert str(caught.value) == 'previous terminated container "c" in pod "p" not found'
    waiting["lastState"] = {"terminated": {"containerID": "containerd://dead"}}
    assert containerlogs.container_to_read(status, "c", "p", previous=False) == "dead"


def test_log_files_stay_below_var_log() -> None:
    assert varlog.resolve("/../etc/passwd") is None
    assert varlog.resolve("/a\0b") is None


def test_prometheus_text() -> None:
    text = exposition.family(
        "m", "gauge", "Help.", [exposition.Sample({"b": 'q"', "a": "x"}, 1.5, 7), exposition.Sample({}, 2)]
    )
    assert text == '# HELP m Help.\n# TYPE m gauge\nm{a="x",b="q\\""} 1.5 7\nm 2\n'
    assert exposition.family("m", "gauge", "Help.", []) == ""


def test_node_figures() -> None:
    found = stats.memory("MemTotal: 100 kB\nMemFree: 40 kB\nMemAvailable: 60 kB\nAnonPages: 5 kB\n")
    assert (found["availableBytes"], found["workingSetBytes"]) == (60 * 1024, 40 * 1024)
    cpu = stats.NodeCPU()
    assert cpu.sample(0.0, 0) == 0
    assert cpu.sample(2.0, 10**9) == 5 * 10**8
    lines = "h\nh\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0\n  eth0: 5 1 2 0 0 0 0 0 6 1 3 0 0 0 0 0\n"
    assert stats.interfaces(lines) == [{"name": "eth0", "rxBytes": 5, "rxErrors": 2, "txBytes": 6, "txErrors": 3}]


def test_files_on_disk_keep_their_file_systems_size() -> None:
    got = podsummary.on_disk({"capacityBytes": 100, "usedBytes": 50, "inodesUsed": 9}, (5, 2))
    assert got == {"capacityBytes": 100, "usedBytes": 5, "inodesUsed": 2}

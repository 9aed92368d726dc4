import json
import re
from collections.abc import Iterator

import pytest

from cka_kubelet.kube import klog


def _lines(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().err


def test_a_structured_error_line(capfd: pytest.CaptureFixture[str]) -> None:
    klog.error("kubelet.go:3531", "Unable to x", err='node "n" not found', node="n", port=10250, ok=True)
    assert re.fullmatch(
        r'E\d{4} \d\d:\d\d:\d\d\.\d{6} [ \d]{7} kubelet\.go:3531\] "Unable to x" '
        r'err="node \\"n\\" not found" node="n" port=10250 ok=true\n',
        _lines(capfd),
    )


def test_text_of_several_lines_is_framed(capfd: pytest.CaptureFixture[str]) -> None:
    klog.info("codec.go:102", "Using", err="strict:\n  line 50: x")
    assert _lines(capfd).split("] ", 1)[1] == '"Using" err=<\n\tstrict:\n\t  line 50: x\n >\n'


def test_a_final_line_end_adds_no_empty_line() -> None:
    assert klog.format_value("a\nb\n") == "<\n\ta\n\tb\n >"


@pytest.mark.parametrize(
    ("value", "text"),
    [(["1.2.3.999"], '["1.2.3.999"]'), ({"a": 1}, '{"a":1}'), (None, '"<nil>"'), (klog.KObj("ns", "p"), '"ns/p"'),
     (klog.KObj("", "n"), '"n"'), ([], "[]")],
)  # fmt: skip
def test_values(value: object, text: str) -> None:
    assert klog.format_value(value) == text


def test_lines_above_the_verbosity_are_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    klog.info("x.go:1", "quiet", v=4)
    assert _lines(capfd) == ""


@pytest.fixture
def json_lines() -> Iterator[None]:
    klog.configure(json=True)
    yield
    klog.configure()


@pytest.mark.usefixtures("json_lines")
def test_json_lines_have_zaps_keys_in_zaps_order(capfd: pytest.CaptureFixture[str]) -> None:
    klog.info("server.go:545", "Kubelet version", kubeletVersion="v1", pod=klog.KObj("ns", "p"))
    klog.error("kubelet.go:1839", "Failed", err="a\nb", node="n")
    klog.unhandled("bootstrap.go:242", "x")
    klog.raw("I", "log.go:245", "hello")
    lines = [list(json.loads(line).items()) for line in _lines(capfd).splitlines()]
    assert [line[0][0] for line in lines] == ["ts"] * 4
    assert [line[1:] for line in lines] == [
        [("caller", "app/server.go:545"), ("msg", "Kubelet version"), ("v", 0), ("kubeletVersion", "v1"),
         ("pod", {"name": "p", "namespace": "ns"})],
        [("caller", "kubelet/kubelet.go:1839"), ("msg", "Failed"), ("node", "n"), ("err", "a\nb")],
        [("logger", "UnhandledError"), ("caller", "bootstrap/bootstrap.go:242"), ("msg", "Unhandled Error"),
         ("err", "x")],
        [("caller", "log/log.go:245"), ("msg", "hello"), ("v", 0)],
    ]  # fmt: skip


def test_vmodule_raises_the_level_of_a_file(capfd: pytest.CaptureFixture[str]) -> None:
    klog.configure(vmodule=[("kubelet*", 4)])
    try:
        klog.info("kubelet_node_status.go:1", "loud", v=4)
        klog.info("kubelet.go:1", "too detailed", v=5)
        klog.info("server.go:1", "other", v=1)
    finally:
        klog.configure()
    assert [line.split("] ")[1] for line in _lines(capfd).splitlines()] == ['"loud"']

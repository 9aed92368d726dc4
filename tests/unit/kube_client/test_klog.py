import re

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

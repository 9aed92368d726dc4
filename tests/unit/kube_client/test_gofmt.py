import pytest

from cka_kubelet.kube.gofmt import format_duration, join_errors, parse_duration, quote


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.2, "200ms"), (1.6, "1.6s"), (90, "1m30s"), (600, "10m0s"), (14400, "4h0m0s"), (0.0000015, "1.5µs"),
     (193.144065422, "3m13.144065422s"), (-7, "-7s")],
)  # fmt: skip
def test_durations_print_as_in_go(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("text", "seconds"), [("1m30s", 90), ("0", 0), ("1.5h", 5400), ("-2s", -2), ("100ms", 0.1)])
def test_durations_parse_as_in_go(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("soon", 'time: invalid duration "soon"'),
        ("5", 'time: missing unit in duration "5"'),
        ("5parsecs", 'time: unknown unit "parsecs" in duration "5parsecs"'),
        ("", 'time: invalid duration ""'),
    ],
)
def test_bad_durations_are_refused_in_gos_words(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="time:") as caught:
        parse_duration(text)
    assert str(caught.value) == message


def test_quote_escapes_what_go_escapes() -> None:
    assert quote('a "b"\n\t\x01é') == '"a \\"b\\"\\n\\t\\x01é"'


def test_errors_join_as_an_aggregate() -> None:
    assert join_errors(["a"]) == "a"
    assert join_errors(["a", "b", "a"]) == "[a, b]"

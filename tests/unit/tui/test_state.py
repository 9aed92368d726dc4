"""The pure rules of showing, and what the first paint may cost."""

import subprocess
import sys

import pytest

from cka_kubelet.errors import RestoreError
from cka_kubelet.tui.keys import translate
from cka_kubelet.tui.protocols import NodeState, Phase, Score, Verdict
from cka_kubelet.tui.state import (
    LabState,
    Outcome,
    PhaseBoard,
    age_text,
    band_colour,
    clock_text,
    node_status,
    printable,
)
from cka_kubelet.tui.theme import DARK, LIGHT, Theme, palette
from tests.unit.tui.fakes import LAB


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(0, "0s"), (119, "119s"), (120, "2m"), (187, "3m7s"), (600, "10m"), (7500, "125m"), (10799, "179m")],
        *[(10800, "3h"), (28800, "8h"), (172800, "2d"), (176400, "2d1h"), (86400 * 9, "9d"), (-5, "0s")],
    ],
)
def test_ages_are_kubectls(seconds: float, text: str) -> None:
    assert age_text(seconds) == text


def test_clock() -> None:
    assert [clock_text(s) for s in (0, 59.9, 187, 3765)] == ["0:00", "0:59", "3:07", "1:02:45"]
    assert [band_colour(s, (3, 8)) for s in (180, 181, 480, 481)] == ["success", "warning", "warning", "error"]


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (NodeState("n", "True"), "Ready"),
        (NodeState("n", "False"), "NotReady"),
        (NodeState("n", "Unknown"), "NotReady"),
        (NodeState("n", "True", unschedulable=True), "Ready,SchedulingDisabled"),
        (NodeState("n", ""), "no answer"),
    ],
)
def test_node_status_is_kubectls(state: NodeState, word: str) -> None:
    assert node_status(state)[0] == word


def test_exit_codes() -> None:
    score = Score((), 60, 100, Verdict.FAIL, 1)
    assert Outcome().exit_code == 130
    assert Outcome(score).exit_code == 1
    assert Outcome(Score((), 100, 100, Verdict.PASS, 1)).exit_code == 0
    assert Outcome(score, error=RestoreError("x")).exit_code == 8


def test_phases_keep_their_order_and_their_time() -> None:
    board = PhaseBoard()
    board.report(Phase("a", "waiting"), 1)
    board.report(Phase("b", "running"), 2)
    board.report(Phase("a", "running"), 5)
    board.report(Phase("a", "done", "ok"), 7.5)
    assert [(row.phase.name, row.seconds(10)) for row in board.rows] == [("a", 2.5), ("b", 8)]


def test_hints_cost_what_they_say_and_the_clock_stops_at_submission() -> None:
    state = LabState(LAB, ["node01"], started=100)
    state.hints += ["one", "two"]
    assert (state.hint_cost, state.hints_left) == (5, 1)
    assert state.elapsed(160) == 60
    state.submitted = 150
    assert state.elapsed(1000) == 50


def test_text_of_others_is_made_harmless() -> None:
    assert printable("a\x1b[31mb\u202ec\x9bd\ne") == "a [31mb c d\ne"


@pytest.mark.parametrize(
    ("key", "character", "expected"),
    [
        ("a", "a", ("a", "", "a")),
        ("A", "A", ("A", "", "A")),
        ("full_stop", ".", (".", "", ".")),
        ("plus", "+", ("+", "", "+")),
        ("space", " ", (" ", "", " ")),
        ("ctrl+c", "\x03", ("c", "ctrl", None)),
        ("ctrl+right_square_bracket", "\x1d", ("]", "ctrl", None)),
        ("ctrl+left", None, ("left", "ctrl", None)),
        ("shift+tab", None, ("tab", "shift", None)),
        ("alt+f", None, ("f", "alt", "f")),
        ("f7", None, ("f7", "", None)),
        ("ctrl+unknown", None, None),
    ],
)
def test_keys(key: str, character: str | None, expected: object) -> None:
    assert translate(key, character) == expected


def _luminance(colour: tuple[int, int, int]) -> float:
    parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _contrast(one: tuple[int, int, int], two: tuple[int, int, int]) -> float:
    light, dark = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _triple(colour: str | None) -> tuple[int, int, int]:
    assert colour is not None
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_everything_can_be_read(theme: Theme) -> None:
    """WCAG AA for text (4.5:1) on every ground; the terminal's "black" and "white" are grounds themselves."""
    texts = [theme.primary, theme.secondary, theme.accent, theme.success, theme.warning, theme.error, theme.foreground]
    for text in texts:
        for ground in (theme.background, theme.surface, theme.panel):
            assert _contrast(_triple(text), _triple(ground)) >= 4.5, (text, ground)
    grounds = {0, 8} if theme.dark else {7, 8, 15}
    for number, colour in enumerate(palette(theme.dark)[:16]):
        if number not in grounds:
            assert _contrast(colour, _triple(theme.background)) >= 4.5, number


def test_the_first_paint_waits_for_nothing_it_does_not_show() -> None:
    late = ["bittty", "paramiko", "markdown_it", "pydantic", "kubernetes", "cka_kubelet.tui.screens.lab"]
    code = f"import sys, cka_kubelet.tui.app; print([m for m in {late!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"

"""The emulator: what programs need works, and nothing that a node prints gets out."""

import random
import re
import time
import unicodedata

import pytest
from rich.cells import cell_len

from cka_kubelet.tui.emulator import SCROLLBACK_CELLS, Emulator, StringFilter

BIDI = "\u202e"


def rows(emulator: Emulator) -> list[str]:
    return ["".join(run.text for run in runs) for _, runs in sorted(emulator.take_damage().items())]


def test_colours_and_attributes() -> None:
    emulator = Emulator(40, 4)
    emulator.feed(b"\x1b[1;31mred\x1b[0m\x1b[38;5;208mor\x1b[48;2;1;2;3mtrue\x1b[0;4;7;9mx")
    looks = [(run.text, run.look) for run in emulator.take_damage()[0]]
    assert (looks[0][0], looks[0][1].fg, looks[0][1].bold) == ("red", 1, True)
    assert (looks[1][0], looks[1][1].fg) == ("or", 208)
    assert (looks[2][0], looks[2][1].bg) == ("true", (1, 2, 3))
    assert looks[3][1].underline
    assert looks[3][1].reverse
    assert looks[3][1].strike


def test_only_changed_rows_are_damaged() -> None:
    emulator = Emulator(40, 10)
    emulator.feed(b"one\r\ntwo")
    emulator.take_damage()
    emulator.feed(b"!")
    assert list(emulator.take_damage()) == [1]
    assert emulator.take_damage() == {}


def test_alternate_screen_comes_and_goes() -> None:
    emulator = Emulator(20, 4)
    emulator.feed(b"shell$ \x1b[?1049h\x1b[2J\x1b[Hvim")
    assert emulator.alternate_screen
    assert emulator.text()[0] == "vim"
    emulator.feed(b"\x1b[?1049l")
    assert not emulator.alternate_screen
    assert emulator.text()[0] == "shell$"


def test_cursor_keys_follow_the_program() -> None:
    emulator = Emulator(20, 4)
    assert emulator.encode_key("up", "", None) == b"\x1b[A"
    emulator.feed(b"\x1b[?1h")
    assert emulator.encode_key("up", "", None) == b"\x1bOA"
    assert emulator.encode_key("right", "ctrl", None) == b"\x1b[1;5C"
    assert emulator.encode_key("b", "alt", "b") == b"\x1bb"


def test_paste_is_bracketed_on_request_and_cannot_close_its_bracket() -> None:
    emulator = Emulator(20, 4)
    assert emulator.encode_paste("a\nb") == b"a\rb"
    emulator.feed(b"\x1b[?2004h")
    assert emulator.encode_paste("rm\x1b[201~\n") == b"\x1b[200~rm[201~\r\x1b[201~"


def test_history_scrolls_and_a_resize_keeps_it() -> None:
    emulator = Emulator(20, 4)
    emulator.feed(b"".join(b"line %d\r\n" % n for n in range(100)))
    emulator.scroll(-10)
    assert emulator.scrolled == 10
    assert emulator.text()[0] == "line 87"
    emulator.resize(30, 6)
    emulator.scroll_to_end()
    assert "line 99" in emulator.text()


def test_colour_queries_are_answered_with_the_theme() -> None:
    emulator = Emulator(20, 4, background="#ffffff")
    assert emulator.feed(b"\x1b]11;?\x07") == b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\"
    assert emulator.feed(b"\x1b]52;c;?\x07\x1b]0;?\x07\x1b]4;1;?\x07") == b""


@pytest.mark.parametrize("cut", range(1, 12))
def test_strings_are_taken_out_however_they_are_cut(cut: int) -> None:
    text = (
        "a\x1b]52;c;ZXZpbA==\x07b\x1bPq#0\x1b\\c\x1b^x\x1b\\d\x1b_G\x1b\\e\x1bXs\x1b\\f\x1b]0;t\x1b[31mg\x1b]9;n\x18h"
    )
    keep = StringFilter()
    out = "".join(keep(text[i : i + cut]) for i in range(0, len(text), cut))
    assert out == "abcdef\x1b[31mgh"


HOSTILE = {
    "title": b"\x1b]0;pwned\x07\x1b]2;x\x1b\\",
    "clipboard": b"\x1b]52;c;cm0gLXJmIC8=\x07",
    "endless title": b"\x1b]0;" + b"A" * 2_000_000,
    "endless sequence": b"\x1b[" + b"1;" * 1_000_000,
    "huge line": b"x" * 2_000_000,
    "huge counts": b"".join(b"\x1b[999999999%c" % final for final in b"LM@PSTbXIZABCDEFGd`"),
    "huge repeat": b"a\x1b[2147483647b",
    "resize": b"\x1b[8;9999;9999t\x1b[?40h\x1b[?3h\x1b[200t\x1b[200*|",
    "printer": b"\x1b[5i swallowed \x1b[4i\x1b[?5i",
    "vt52": b"\x1b[?2l\x1bY  hello\x1b<",
    "macro": b"\x1bP0;0;0!z6161\x1b\\\x1b[0*z",
    "invalid utf-8": bytes(range(128, 256)) * 50 + b"\xf0\x9f",
    "c1": "\u009b31m\u009d0;x\u009c\u0090q\u009c".encode(),
    "bidi": (BIDI + "evil\u2066\u2069\u200f").encode(),
    "combining flood": ("a" + "\u0301" * 100_000).encode(),
    "joiners": ("\U0001f468" + "\u200d\U0001f469" * 20_000).encode(),
    "nul and bells": b"\x00\x07" * 100_000,
    "query flood": b"\x1b[c\x1b[6n\x1b]11;?\x07" * 20_000,
    "margins": b"\x1b[?69h\x1b[99;1s\x1b[50;2r\x1b[?6h\x1b[999;999Hx",
    "sgr flood": b"\x1b[" + b";".join(b"%d" % (n % 110) for n in range(1000)) + b"m",
    "scroll up": b"\n" * 300_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_output_neither_raises_nor_gets_out(name: str) -> None:
    emulator = Emulator(80, 24)
    data = HOSTILE[name]
    began = time.process_time()
    answers = b"".join(emulator.feed(data[i : i + 65536]) for i in range(0, len(data), 65536))
    assert time.process_time() - began < 10
    assert len(answers) < 1_000_000
    emulator.feed(b"\x1b\\\x18")
    shown = rows(emulator)
    for row in shown:
        assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co"} for c in row), name
        assert len(row) < 80 * 5
    assert emulator.size == (80, 24)
    assert emulator.take_damage() == {}
    emulator.feed(b"\x1bc\x1b[H\x1b[2Jstill here")  # a reset, as `reset` sends
    assert emulator.text()[0] == "still here", name


def test_random_tokens_never_raise_and_keep_every_row_exactly_as_wide() -> None:
    pick = random.Random(7)  # noqa: S311 - a reproducible test, no secret
    finals = [chr(n) for n in range(0x40, 0x7F)]
    emulator = Emulator(33, 9)
    painted = 0
    for _ in range(4000):
        kind = pick.randrange(6)
        if kind == 0:
            private = pick.choice(["", "?", ">", "="])
            token = f"\x1b[{private}{pick.randrange(200)};{pick.randrange(99)}{pick.choice(finals)}"
        elif kind == 1:
            token = "\x1b" + pick.choice(finals)
        elif kind == 2:
            token = "".join(chr(pick.randrange(0x20, 0x3000)) for _ in range(5))
        elif kind == 3:
            token = pick.choice(["\r\n", "\t", "\b", "\x0e", "\x0f", "\n"])
        elif kind == 4:
            token = pick.choice(["中文", "é", "a\u0301", "👩‍👩‍👧", "️⃣", "ａ"])
        else:
            token = "\x1b]" + "".join(pick.choices("0125;?abc", k=9)) + pick.choice(["\x07", "\x1b\\", ""])
        emulator.feed(token.encode())
        for runs in emulator.take_damage().values():
            assert sum(run.width for run in runs) == 33, token
            assert sum(map(cell_len, (run.text for run in runs))) == 33, token
            painted += 1
    assert painted > 2000
    assert emulator.faults == 0


def test_history_is_bounded() -> None:
    emulator = Emulator(100, 24)
    for _ in range(20):
        emulator.feed((b"x" * 90 + b"\r\n") * 1000)
    assert emulator._chrome.scrollback.cells <= SCROLLBACK_CELLS


def test_a_megabyte_is_fed_well_within_a_second() -> None:
    emulator = Emulator(120, 40)
    line = b'E1121 05:00:00.000000     123 kubelet.go:2345] "Unable to sync" err="\x1b[31mnot found\x1b[0m"\r\n'
    data = (line * 12_000)[: 1 << 20]
    began = time.process_time()
    emulator.feed(data)
    assert (
        time.process_time() - began < 3
    )  # about 0.25 s on an idle machine; CPU time, so that a busy machine does not count


def test_the_filter_holds_next_to_nothing() -> None:
    keep = StringFilter()
    for _ in range(100):
        assert keep("\x1b]" + "A" * 10_000) == ""
    assert all(len(str(value)) < 100 for value in vars(keep).values())
    assert re.fullmatch("ok", keep("\x07ok"))

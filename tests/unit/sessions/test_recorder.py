"""What a terminal's bytes become: lines, commands, exit codes; whatever a node sends."""

import random

import pytest

from cka_kubelet.sessions.recorder import KEPT_LINES, MAX_LINE, MAX_OSC, Recorder, Stream


def recorded(*chunks: bytes) -> tuple[Recorder, Stream]:
    recorder = Recorder(lambda: 7.0)
    stream = recorder.stream("controlplane")
    for chunk in chunks:
        stream.feed(chunk)
    return recorder, stream


def lines(*chunks: bytes) -> list[str]:
    return [line for _, _, line in recorded(*chunks)[0].lines]


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"node01   NotReady\r\n", ["node01   NotReady"]),
        (b"\x1b[1;31mnode01\x1b[0m \x1b]8;;http://x\x07NotReady\x1b]8;;\x07\n", ["node01 NotReady"]),
        (b"old text\rnew\n", ["new text"]),
        (b"ab\x08c\n", ["ac"]),
        (b"one\x1b[5;1Htwo\n", ["one", "two"]),
        (b"abc\rx\x1b[K\n", ["x"]),
        (b"a\x1bPq#0;2;0;0;0\x1b\\b\n", ["ab"]),
        (b"a\x1b(Bb\n", ["ab"]),
        ("Tür \u202eabc\n".encode(), ["Tür abc"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
        (b"x" * 100_000 + b"\n", ["x" * MAX_LINE]),
        (b"\x1b]633;E;" + b"y" * 100_000 + b"\x07z\n", ["z"]),
        (b"\n\n  \n", []),
    ],
)
def test_lines_are_what_a_person_reads(data: bytes, seen: list[str]) -> None:
    assert lines(data) == seen
    assert lines(*(data[i : i + 1] for i in range(len(data)))) == seen


def test_commands_and_exit_codes_come_from_the_marks() -> None:
    recorder, stream = recorded(
        b"\x1b]633;P;Host=node01\x07\x1b]633;E;echo a\\x3b cat \\\\x\x07\x1b]633;C\x07out\r\n",
        b"\x1b]633;D;3\x1b\\\x1b]633;P;Host=node01\x07\x1b]633;A\x07",
    )
    (command,) = recorder.commands
    assert (command.node, command.line, command.status) == ("node01", "echo a; cat \\x", 3)
    assert (stream.finished, stream.prompts, stream.status) == (1, 1, 3)


def test_the_prompts_first_mark_is_no_command() -> None:
    assert recorded(b"\x1b]633;D;0\x07\x1b]633;A\x07")[1].finished == 0


def test_rules_hold_from_the_first_time_on_their_node() -> None:
    now = [1.0]
    recorder = Recorder(lambda: now[0])
    rule = recorder.watch(["refused"], ["journalctl"], "node01")
    stream = recorder.stream("controlplane")
    stream.feed(b"refused\n")
    assert rule.first is None
    now[0] = 2.0
    stream.feed(b"\x1b]633;P;Host=node01\x07\x1b]633;E;journalctl -u kubelet\x07")
    now[0] = 3.0
    stream.feed(b"connection refused\n")
    assert rule.first == 2.0


def test_a_shell_inside_a_terminal_counts_for_the_node_it_is_on() -> None:
    recorder, _ = recorded(b"\x1b]633;P;Host=node01.lab\x07x\n\x1b]633;P;Host=controlplane\x07y\n")
    assert [(node, line) for _, node, line in recorder.lines] == [("node01", "x"), ("controlplane", "y")]


def test_memory_stays_bounded_and_nothing_raises() -> None:
    source = random.Random(5)  # noqa: S311 - a fixed sequence of hostile bytes
    alphabet = [
        b"\x1b",
        b"[",
        b"]",
        b"633;E;",
        b"633;D;",
        b"\x07",
        b"\n",
        b"\r",
        b"\x08",
        b"P",
        b"\x9c",
        b"\xc3",
        b"x;1H",
    ]
    recorder = Recorder(lambda: 0.0)
    stream = recorder.stream("n")
    for _ in range(300):
        stream.feed(b"".join(source.choices(alphabet, k=500)))
    assert len(recorder.lines) <= KEPT_LINES
    assert len(stream._line) <= MAX_LINE
    assert len(stream._osc) <= MAX_OSC


def test_one_command_over_ssh_counts_for_the_other_node() -> None:
    recorder, stream = recorded(
        b"\x1b]633;P;Host=controlplane\x07\x1b]633;E;ssh -q root@node01 systemctl is-enabled kubelet\x07disabled\r\n",
        b"\x1b]633;D;1\x07\x1b]633;P;Host=controlplane\x07",
    )
    assert [(command.node, command.line) for command in recorder.commands] == [
        ("controlplane", "ssh -q root@node01 systemctl is-enabled kubelet"),
        ("node01", "systemctl is-enabled kubelet"),
    ]
    assert [(node, line) for _, node, line in recorder.lines] == [("node01", "disabled")]
    assert stream.node == "controlplane"
    assert stream.finished == 1

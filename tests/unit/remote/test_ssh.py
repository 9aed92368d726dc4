"""SSHShell against a real SSH server in this process."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cka_kubelet.errors import CommandError, HostKeyError, NodeUnreachableError
from cka_kubelet.remote.ssh import SSHShell, SSHTarget
from tests.unit.remote.sshd import Sshd, new_key


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path)
    yield server
    server.close()


@pytest.fixture
def target(sshd: Sshd) -> SSHTarget:
    return SSHTarget("127.0.0.1", sshd.port, "root", sshd.client_key_file, sshd.host_key)


@pytest.fixture
def shell(target: SSHTarget) -> Iterator[SSHShell]:
    shell = SSHShell("node01", target)
    yield shell
    shell.close()


def test_words_reach_the_program_unchanged(shell: SSHShell) -> None:
    words = ["a b", "c'd", "$HOME", "`id`", "*", "", "\n"]
    assert shell.run(["printf", "%s|", *words]).text == "a b|c'd|$HOME|`id`|*||\n|"


def test_stdin_stdout_and_stderr_are_apart(shell: SSHShell) -> None:
    result = shell.run(["sh", "-c", "cat; echo oops >&2; exit 3"], input=b"in", check=False)
    assert (result.returncode, result.stdout, result.stderr) == (3, b"in", b"oops\n")


def test_large_input_and_output_at_once_do_not_block(shell: SSHShell) -> None:
    data = bytes(range(256)) * 20_000
    assert shell.run(["cat"], input=data).stdout == data


def test_output_is_cut_at_the_limit(shell: SSHShell) -> None:
    result = shell.run(["head", "-c", "300000", "/dev/zero"], limit=1000)
    assert (len(result.stdout), result.truncated) == (1000, True)


def test_failed_command_names_node_command_and_stderr_without_control_characters(shell: SSHShell) -> None:
    with pytest.raises(CommandError) as caught:
        shell.run(["sh", "-c", "printf 'bad \\033]52;c;x\\007' >&2; exit 4"])
    assert "node01" in caught.value.message
    assert "status 4" in caught.value.message
    assert "\x1b" not in caught.value.message


def test_a_command_that_hangs_ends_at_its_deadline(shell: SSHShell) -> None:
    with pytest.raises(CommandError, match="did not end within"):
        shell.run(["sleep", "30"], timeout=0.3)


def test_write_file_replaces_atomically_with_its_mode(shell: SSHShell, tmp_path: Path) -> None:
    path = tmp_path / "new dir" / "fi'le"
    shell.write_file(str(path), b"one", mode=0o600)
    shell.write_file(str(path), b"two", mode=0o640)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in path.parent.iterdir()] == ["fi'le"]


def test_a_lost_connection_is_made_again(shell: SSHShell, sshd: Sshd) -> None:
    shell.run(["true"])
    sshd.drop_connections()
    assert shell.run(["echo", "back"]).text == "back\n"


def test_another_host_key_is_a_hard_stop(target: SSHTarget, tmp_path: Path) -> None:
    other = new_key(tmp_path / "other")
    wrong = replace(target, host_key=f"{other.get_name()} {other.get_base64()}")
    with pytest.raises(HostKeyError):
        SSHShell("node01", wrong).run(["true"])


def test_a_refused_key_says_which(target: SSHTarget, tmp_path: Path) -> None:
    new_key(tmp_path / "stranger")
    with pytest.raises(NodeUnreachableError, match="refuses the key"):
        SSHShell("node01", replace(target, key_file=tmp_path / "stranger")).run(["true"])


def test_a_dead_host_says_so(target: SSHTarget) -> None:
    with pytest.raises(NodeUnreachableError, match="cannot be reached"):
        SSHShell("node01", replace(target, port=1)).run(["true"])

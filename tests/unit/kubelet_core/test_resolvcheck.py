from pathlib import Path

from cka_kubelet.kubelet import resolvcheck


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = f"{tmp_path}/resolv.conf"
    assert resolvcheck.problem(path, "") == f"open {path}: no such file or directory"


def test_limits_of_the_search_list(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 1.1.1.1\nsearch " + " ".join(f"d{n}.example" for n in range(30)) + "\n")
    assert resolvcheck.problem(str(path), "") is None
    assert resolvcheck.problem(str(path), "cluster.local") == (
        f"Resolv.conf file '{path}' contains search line consisting of more than 29 domains!"
    )
    path.write_text(f"search {'a' * 254}\n")
    assert resolvcheck.problem(str(path), "") == (
        f'Resolv.conf file "{path}" contains a search path which length is more than allowed 253!'
    )
    path.write_text("search " + " ".join(["b" * 200] * 11) + "\n")
    assert resolvcheck.problem(str(path), "") == (
        f"Resolv.conf file '{path}' contains search line which length is more than allowed 2048 chars!"
    )

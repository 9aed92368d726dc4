"""What each half loads, proved in a clean interpreter."""

import subprocess
import sys

import pytest

TRAINER_ONLY = ("paramiko", "textual", "pydantic", "cryptography", "typer", "kubernetes", "platformdirs", "rich")


def _modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "cka_kubelet.kubelet.__main__",
        "cka_kubelet.controlplane.__main__",
        "cka_kubelet.crictl.__main__",
        "cka_kubelet.cri.client",
    ],
)
def test_node_half_loads_nothing_of_the_trainer(module: str) -> None:
    loaded = _modules_after(f"import {module}")
    assert not {name for name in TRAINER_ONLY if name in loaded}
    ours = {name.split(".")[1] for name in loaded if name.startswith("cka_kubelet.")}
    assert ours <= {"kube", "cri", "kubelet", "controlplane", "crictl", "kubeadm", "clock"}


def test_help_and_lists_start_without_the_heavy_libraries() -> None:
    loaded = _modules_after("import cka_kubelet.cli")
    assert not {"paramiko", "textual", "kubernetes", "pydantic"} & loaded


@pytest.mark.parametrize(
    "package", ["engine", "faults", "scoring", "labspec", "providers", "provision", "sessions", "remote.ssh"]
)
def test_nothing_below_the_app_loads_textual(package: str) -> None:
    assert "textual" not in _modules_after(f"import cka_kubelet.{package}")

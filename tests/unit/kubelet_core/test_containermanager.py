"""Checkpoints of the CPU and the memory manager: what keeps the kubelet from starting, and its lines."""

from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.kubelet import containermanager

CONFIG: Any = {"cpuManagerPolicy": "none", "memoryManagerPolicy": "None", "cpuManagerReconcilePeriod": "10s"}


@pytest.mark.parametrize(
    ("file", "text", "source", "detail"),
    [
        ("cpu_manager_state", "{", "cpu_manager.go", "unexpected end of JSON input"),
        ("memory_manager_state", "x", "memory_manager.go", "invalid character 'x' looking for beginning of value"),
        (
            "cpu_manager_state",
            '{"policyName": "static"}',
            "cpu_manager.go",
            'configured policy "none" differs from state checkpoint policy "static"',
        ),
        (
            "cpu_manager_state",
            "[]",
            "cpu_manager.go",
            "json: cannot unmarshal array into Go value of type state.CPUManagerCheckpoint",
        ),
        (
            "cpu_manager_state",
            "null",
            "cpu_manager.go",
            'configured policy "none" differs from state checkpoint policy ""',
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_told_and_ends_the_kubelet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], file: str, text: str, source: str, detail: str
) -> None:
    (tmp_path / file).write_text(text)
    problem = containermanager.start(CONFIG, str(tmp_path), None)
    kind, name = ("cpu", "CPU") if file.startswith("cpu") else ("memory", "Memory")
    kept = f'checkpoint file "{tmp_path / file}"'
    advice = f"please drain this node and delete the {name} manager {kept} before restarting Kubelet"
    restore = f"could not restore state from checkpoint: {detail}, {advice}"
    assert problem == f"start {kind} manager error: {restore}"
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("E")]
    assert len(errors) == 1 and f" {source}:" in errors[0]
    assert (
        '"Could not initialize checkpoint manager, please drain node and remove policy state file" err="' in errors[0]
    )

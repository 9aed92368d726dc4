"""The app killed with SIGKILL at any point: `cka-kubelet restore` leaves the node as it was."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cka_kubelet.engine.contract import files_of
from cka_kubelet.providers.container import ContainerProvider


def cka(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CKA_KUBELET_HOME": str(home)}
    command = [sys.executable, "-m", "cka_kubelet", *args]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)


def kill_at(home: Path, lab: str, phase: str) -> None:
    """Play a lab and kill the program as soon as it reports `phase`."""
    command = [sys.executable, "-m", "cka_kubelet", "lab", lab, "--play"]
    environment = {**os.environ, "CKA_KUBELET_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as played:
        assert played.stdout
        seen = []
        for line in played.stdout:
            seen.append(line)
            if f" s  {phase} " in line:
                played.send_signal(signal.SIGKILL)
                break
        else:
            pytest.fail("".join(seen))
        played.stdout.read()


def test_restore_after_sigkill_at_five_points(home: Path, provider: ContainerProvider) -> None:
    fresh = provider.acquire(lambda phase, detail: None)
    clean = files_of(fresh)
    fresh.destroy()
    for lab, phase in (
        ("notready-1", "baseline"),
        ("notready-4", "fault"),
        ("notready-8", "symptom"),
        ("notready-5", "diagnose"),
        ("notready-3", "repair"),
    ):
        kill_at(home, lab, phase)
        done = cka(home, "restore", "--json")
        assert done.returncode == 0, (lab, phase, done.stderr)
        assert json.loads(done.stdout)["pending"] == 0
        [cluster] = provider.existing()
        now = files_of(cluster)
        changed = sorted(path for path in {*clean, *now} if clean.get(path) != now.get(path))
        assert changed == [], (lab, phase)
        unit = cluster.shell("node01").run(["systemctl", "show", "-P", "ActiveState,UnitFileState", "kubelet"]).text
        assert unit.split() == ["active", "enabled"], (lab, phase)
        cluster.shell("controlplane").run(
            ["kubectl", "wait", "--for=condition=Ready", "node/node01", "--timeout=60s"], timeout=70
        )
        assert "Nothing is pending" in cka(home, "restore").stdout
    assert cka(home, "nodes", "destroy").returncode == 0


def test_a_second_lab_at_once_is_refused(home: Path, tmp_path: Path) -> None:
    from cka_kubelet.sessions import lock

    with lock.held(home / "lab.lock"):
        done = cka(home, "lab", "notready-1", "--play")
    assert done.returncode == 4
    assert "another lab is running" in done.stderr
    assert "Traceback" not in done.stderr

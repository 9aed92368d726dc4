"""Measure everything and write benchmarks/results.json.

    python -m benchmarks              all, cold start included (removes this machine's lab nodes and images first)
    python -m benchmarks --warm       all but the cold start

Every figure is a median. Seconds end in `_s`, milliseconds in `_ms`, resident memory in `_mb` (MiB, VmRSS).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.etcd import measure_etcd
from benchmarks.nodes import measure_nodes
from benchmarks.tui import measure_tui

RESULTS = Path(__file__).with_name("results.json")
LAB = "notready-1"


def _cka(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cka_kubelet", *args], capture_output=True, text=True, check=True, timeout=900
    )


def play() -> dict[str, Any]:
    """One lab, played from command to restored: the document that `lab --json` prints."""
    document: dict[str, Any] = json.loads(_cka("lab", LAB, "--play", "--json").stdout)
    return document


def measure_labs(cold: bool, runs: int = 5) -> dict[str, float]:
    """`lab_cold_s` from a machine without our images; `lab_warm_s` and `reset_s` with them."""
    figures = {}
    if cold:
        _cka("nodes", "destroy", "--images")
        figures["lab_cold_s"] = play()["prompt_s"]
    warm = [play() for _ in range(runs)]
    figures["lab_warm_s"] = median(run["prompt_s"] for run in warm)
    figures["reset_s"] = median(run["restore_s"] for run in warm)
    return figures


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    models = (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    cpu = next(models, "model name: unknown").split(":")[1].strip()
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory_kib / 2**20),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--warm", action="store_true", help="keep images; leave lab_cold_s as it was")
    options = parser.parse_args()
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    figures = measure_tui() | measure_labs(cold=not options.warm) | measure_nodes() | measure_etcd()
    results = before | {name: round(value, 3) for name, value in figures.items()} | {"machine": machine()}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(RESULTS.read_text(), end="")


if __name__ == "__main__":
    main()

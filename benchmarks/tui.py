"""The app: from the start of a process to its first painted screen."""

import subprocess
import sys
from statistics import median

_CHILD = """
import sys
from cka_kubelet.labspec import catalogue
from cka_kubelet.playing import since_process_start
from cka_kubelet.tui.app import LabApp
from cka_kubelet.tui.enginerun import EngineRun

def begin(progress):
    import threading
    threading.Event().wait()  # nodes that never come: only the first screen is measured

app = LabApp(EngineRun(catalogue.find("notready-1"), begin, lambda progress: None, exam=False))

def painted():
    print(since_process_start())
    sys.stdout.flush()
    import os
    os._exit(0)

original = app.on_mount

def on_mount():
    original()
    app.call_after_refresh(painted)

app.on_mount = on_mount
app.run(headless=True)
"""


def measure_tui(runs: int = 5) -> dict[str, float]:
    """`tui_start_s`: interpreter, imports, first screen."""

    def once() -> float:
        done = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True, timeout=60)
        return float(done.stdout.split()[-1])

    return {"tui_start_s": median(once() for _ in range(runs))}

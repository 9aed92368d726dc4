"""The app: from the start of a process to its first painted screen."""

import subprocess
import sys
from statistics import median

_CHILD = """
import os, threading
from cka_kubelet.labspec import catalogue
from cka_kubelet.playing import since_process_start
from cka_kubelet.tui.app import LabApp
from cka_kubelet.tui.enginerun import EngineRun

def begin(progress):
    threading.Event().wait()  # nodes that never come: only the first screen is measured

import pathlib, cka_kubelet.tui.app as module

class Timed(LabApp):
    CSS_PATH = pathlib.Path(module.__file__).with_name("app.tcss")

    def on_mount(self):  # Textual calls LabApp's own as well
        self.call_after_refresh(self.painted)

    def painted(self):
        os.write(1, f"{since_process_start()}".encode())
        os._exit(0)

Timed(EngineRun(catalogue.find("notready-1"), begin, lambda progress: None, exam=False)).run(headless=True)
"""


def measure_tui(runs: int = 5) -> dict[str, float]:
    """`tui_start_s`: interpreter, imports, first screen."""

    def once() -> float:
        done = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True, timeout=60)
        return float(done.stdout.split()[-1])

    return {"tui_start_s": median(once() for _ in range(runs))}

"""A lab played by its reference solution, for a log: every phase, command and line, then the score."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cka_kubelet.clock import SystemClock
from cka_kubelet.engine.play import Player
from cka_kubelet.engine.run import LabRun
from cka_kubelet.errors import LabError
from cka_kubelet.labspec.loader import LabFile
from cka_kubelet.providers.base import Progress
from cka_kubelet.scoring.grading import CAUSE_KEYS
from cka_kubelet.scoring.result import Score
from cka_kubelet.sessions.recorder import Recorder, Stream


class Transcript(Recorder):
    """Prints what a learner would see, line by line, without control sequences."""

    def __init__(self) -> None:
        super().__init__(time.time)
        self._streams: dict[str, Stream] = {}

    def show(self, node: str, data: bytes) -> None:
        """Take a terminal's output."""
        self._streams.setdefault(node, self.stream(node)).feed(data)

    def saw(self, node: str, line: str) -> None:
        if line.strip():
            print(f"    {line}", flush=True)


def play_lab(
    file: LabFile, begin: Callable[[Progress], LabRun], end: Callable[[Progress], object], *, as_json: bool
) -> int:
    """Play and restore. Returns 0 when the score is full, else 1. Raises LabError, with everything restored."""
    phases: list[dict[str, object]] = []

    def progress(phase: str, detail: str) -> None:
        seconds = since_process_start()
        phases.append({"phase": phase, "detail": detail, "at_s": round(seconds, 3)})
        print(f"{seconds:7.1f} s  {phase:<13} {detail[:120]}", file=sys.stderr if as_json else sys.stdout, flush=True)

    run: LabRun | None = None
    try:
        run = begin(progress)
        run.prepare(progress)
        prompt = since_process_start()
        score = _solve(file, run, progress, quiet=as_json)
        restoring = time.monotonic()
        run.restore(progress)
        restore = time.monotonic() - restoring
    except BaseException:
        _clean_up(run, progress)
        raise
    finally:
        end(progress)
    if as_json:
        print(
            json.dumps({**_document(file, score), "prompt_s": prompt, "restore_s": restore, "phases": phases}, indent=2)
        )
    else:
        _print_score(score)
        print(f"\n  prompt after {prompt:.1f} s, restored in {restore:.1f} s")
    return 0 if score.passed and score.points == score.maximum else 1


def _solve(file: LabFile, run: LabRun, progress: Progress, *, quiet: bool) -> Score:
    lab = file.lab
    if not quiet:
        print(f"\n  {lab.name}: {lab.title}\n")
        print("\n".join(f"  {line}" for line in lab.brief.strip().splitlines()), flush=True)
    transcript = Transcript()
    player = Player(run, SystemClock(), (lambda node, data: None) if quiet else transcript.show)
    try:
        for title, commands in (("diagnose", lab.solution.diagnose), ("repair", lab.solution.repair)):
            progress(title, f"{len(commands)} commands")
            player.play(commands)
    finally:
        player.close()
    progress("submit", "checking the repair, and whether it survives a reboot")
    return run.submit({key: getattr(lab.cause, key).answer for key in CAUSE_KEYS})


def _clean_up(run: LabRun | None, progress: Progress) -> None:
    """Restore after a failure or Ctrl-C; what fails here must not hide the first error."""
    if run is None:
        return
    try:
        run.restore(progress)
    except LabError as err:
        print(f"error: {err.message}", file=sys.stderr)


def _print_score(score: Score) -> None:
    print()
    for line in score.lines:
        points = f"{line.points:.1f}/{line.maximum:.1f}"
        print(f"  {line.verdict.value:<5} {points:>9}  {line.category:<9} {line.name}")
        print(f"{'':18}  expected {line.expected}; found {line.found}")
    print(f"\n  {score.verdict.value}: {score.points:g} of {score.maximum:g} points in {score.seconds:.0f} s")


def _document(file: LabFile, score: Score) -> dict[str, object]:
    keys = ("category", "name", "expected", "found", "points", "maximum")
    lines = [{**{key: getattr(line, key) for key in keys}, "verdict": line.verdict.value} for line in score.lines]
    return {
        "lab": file.lab.name,
        "verdict": score.verdict.value,
        "points": score.points,
        "maximum": score.maximum,
        "seconds": round(score.seconds, 1),
        "lines": lines,
    }


def since_process_start() -> float:
    """Seconds since this process was started, the interpreter's own start included. Source: proc(5), starttime."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - ticks / 100

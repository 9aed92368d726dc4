"""Work that reports by calling back, as the iterator of phases that the app reads."""

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

from cka_kubelet.tui.protocols import Phase

Progress = Callable[[str, str], None]
"""(phase, detail): what providers and provisioning call while they work."""


def phases(work: Callable[[Progress], object]) -> Iterator[Phase]:
    """Run `work(progress)` on a thread and yield its phases; one ends when the next begins. Raises what `work` raised.

    The thread is a daemon: leaving the iterator early does not stop the work, nor does the work hold the program back.
    """
    reports: SimpleQueue[tuple[str, str] | BaseException | None] = SimpleQueue()

    def run() -> None:
        try:
            work(lambda phase, detail: reports.put((phase, detail)))
        except BaseException as err:  # carried to the reader, which raises it
            reports.put(err)
        else:
            reports.put(None)

    threading.Thread(target=run, name="phases", daemon=True).start()
    name, detail = "", ""
    while isinstance(report := reports.get(), tuple):
        if name and report[0] != name:
            yield Phase(name, "done", detail)
        name, detail = report
        yield Phase(name, "running", detail)
    if name:
        yield Phase(name, "done" if report is None else "failed", detail)
    if report is not None:
        raise report

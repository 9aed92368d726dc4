"""Work that takes time, on threads that never hold the program back."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from textual.message import Message

from cka_kubelet.errors import InternalError, LabError

T = TypeVar("T")


class Carried(Message):
    """Sent from a worker thread to the app: `deliver()` runs there, on the event loop."""

    def __init__(self, deliver: Callable[[], object]) -> None:
        super().__init__()
        self.deliver = deliver


def carry(
    name: str,
    work: Callable[[], T],
    post: Callable[[Carried], object],
    done: Callable[[T], object],
    failed: Callable[[LabError], object],
) -> None:
    """Run `work` on a daemon thread and deliver its result, or its LabError, through `post`.

    Daemon: a worker stuck on a dead connection must not keep the program from ending. Anything else that is raised is
    a defect of ours and becomes an InternalError.
    """

    def run() -> None:
        try:
            result = work()
        except LabError as err:
            deliver: Callable[[], Any] = _bound(failed, err)
        except Exception as err:
            defect = InternalError(
                f"{name}: {type(err).__name__}: {err}", "Please report this, with what you were doing."
            )
            deliver = _bound(failed, defect)
        else:
            deliver = _bound(done, result)
        post(Carried(deliver))

    threading.Thread(target=run, name=name, daemon=True).start()


def _bound(function: Callable[[T], object], argument: T) -> Callable[[], object]:
    return lambda: function(argument)

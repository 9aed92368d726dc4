"""A drill: lab after lab until the learner has had enough, and what came of them."""

from collections.abc import Callable, Iterator
from itertools import islice

from cka_kubelet.labspec.drill import Deal

_RESULTS = {0: "passed", 1: "not passed", 130: "left"}


def drill(
    dealt: Iterator[Deal],
    run: Callable[[Deal], int],
    go_on: Callable[[], bool],
    *,
    count: int,
    say: Callable[[str], None],
) -> int:
    """Run labs until `go_on` says no, or `count` of them (0: no end). Returns 0 when the last passed, else 1.

    `run` gives a lab's exit code and may raise LabError, which ends the drill after what was done is told.
    """
    done: list[tuple[Deal, int]] = []
    try:
        for deal in islice(dealt, count or None):
            if done and not go_on():
                break
            say(f"{deal.lab} --seed {deal.seed}" + (f"  (round {deal.round})" if deal.round > 1 else ""))
            done.append((deal, run(deal)))
    finally:
        _tell(done, say)
    return 0 if done and done[-1][1] == 0 else 1


def _tell(done: list[tuple[Deal, int]], say: Callable[[str], None]) -> None:
    if not done:
        return
    passed = sum(code == 0 for _, code in done)
    say(f"{passed} of {len(done)} passed. Any of them again:")
    for deal, code in done:
        say(f"  {_RESULTS.get(code, 'not finished'):<12} cka-kubelet lab {deal.lab} --seed {deal.seed}")

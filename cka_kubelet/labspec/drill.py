"""Which lab comes next in a drill: seeded, so that the same seed deals the same labs in the same order. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from cka_kubelet.labspec.model import Lab

Difficulty = Literal["easy", "medium", "hard"]
EASY_MINUTES = 6
"""A lab whose slow mark is at most this is easy."""
MEDIUM_MINUTES = 9
SEEDS = 2**31


@dataclass(frozen=True)
class Deal:
    """One lab of a drill and the seed that chooses its particulars. `round` from 1: how often every lab came up."""

    lab: str
    seed: int
    round: int


def family(name: str) -> str:
    """What labs with the same symptom have in common: their name without its number."""
    return re.sub(r"-\d+$", "", name)


def difficulty(lab: Lab) -> Difficulty:
    """By the lab's time band."""
    slow = lab.minutes[1]
    return "easy" if slow <= EASY_MINUTES else "medium" if slow <= MEDIUM_MINUTES else "hard"


def chosen(labs: Sequence[Lab], families: Sequence[str], difficulties: Sequence[str]) -> list[str]:
    """Names of the labs of any of these families and difficulties; an empty choice is every one. Sorted."""
    return sorted(
        lab.name
        for lab in labs
        if (not families or family(lab.name) in families) and (not difficulties or difficulty(lab) in difficulties)
    )


def deals(names: Sequence[str], seed: int) -> Iterator[Deal]:
    """Without end: every lab once in a random order, then every lab again with new seeds, and so on. No lab comes
    twice in a row unless there is only one. `names` must not be empty."""
    random = Random(f"drill:{seed}")  # noqa: S311 - variety, not secrecy
    last = ""
    number = 0
    while True:
        number += 1
        order = random.sample(sorted(names), len(names))
        if len(order) > 1 and order[0] == last:
            order.append(order.pop(0))
        for name in order:
            yield Deal(name, random.randrange(1, SEEDS), number)
        last = order[-1]

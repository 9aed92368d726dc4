"""A drill deals every lab before any comes again, the same for the same seed, never the same twice over."""

from itertools import islice, pairwise

from cka_kubelet.drilling import drill
from cka_kubelet.errors import UsageError
from cka_kubelet.labspec import catalogue
from cka_kubelet.labspec.drill import Deal, chosen, deals, difficulty, family

NAMES = ["a-1", "a-2", "b-1"]


def take(count: int, seed: int = 7, names: list[str] = NAMES) -> list[Deal]:
    return list(islice(deals(names, seed), count))


def test_the_same_seed_deals_the_same() -> None:
    assert take(20) == take(20)
    assert take(20) != take(20, seed=8)
    assert take(20, names=NAMES[::-1]) == take(20)


def test_all_labs_come_before_any_comes_again_and_then_with_new_seeds() -> None:
    found = take(30)
    for number in range(10):
        assert sorted(deal.lab for deal in found[number * 3 : number * 3 + 3]) == NAMES
    assert len({(deal.lab, deal.seed) for deal in found}) == 30
    assert [deal.round for deal in found] == [n // 3 + 1 for n in range(30)]
    assert all(one.lab != two.lab for one, two in pairwise(found))


def test_one_lab_is_enough() -> None:
    assert {deal.lab for deal in take(3, names=["a-1"])} == {"a-1"}


def test_families_and_difficulties_choose() -> None:
    labs = [file.lab for file in catalogue.every()]
    every = {lab.name: lab for lab in labs}
    assert chosen(labs, [], []) == sorted(every)
    assert {family(name) for name in chosen(labs, ["notready"], [])} == {"notready"}
    easy = chosen(labs, [], ["easy"])
    assert 0 < len(easy) < len(every)
    assert {difficulty(every[name]) for name in easy} == {"easy"}
    assert chosen(labs, ["nothing"], []) == []


def test_a_drill_goes_on_until_told_and_says_how_to_repeat() -> None:
    said: list[str] = []
    ran: list[Deal] = []
    answers = iter([True, False])

    def run(deal: Deal) -> int:
        ran.append(deal)
        return len(ran) - 1

    assert drill(iter(take(9)), run, lambda: next(answers), count=0, say=said.append) == 1
    assert ran == take(2)
    assert said[-3] == "1 of 2 passed. Any of them again:"
    assert said[-1] == f"  not passed   cka-kubelet lab {ran[1].lab} --seed {ran[1].seed}"


def test_a_drill_ends_after_its_count_or_an_error() -> None:
    said: list[str] = []
    assert drill(iter(take(9)), lambda deal: 0, lambda: True, count=3, say=said.append) == 0
    assert said[3].startswith("3 of 3 passed")

    def breaks(deal: Deal) -> int:
        raise UsageError("no nodes")

    said.clear()
    try:
        drill(iter(take(9)), breaks, lambda: True, count=3, say=said.append)
    except UsageError:
        assert len(said) == 1

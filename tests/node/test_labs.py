"""Labs keep their contract on real nodes: another part each day; all with -k or CKA_KUBELET_ALL_LABS=1."""

import os
import time
from pathlib import Path

import pytest

from cka_kubelet.clock import SystemClock
from cka_kubelet.engine.contract import prove
from cka_kubelet.engine.run import LabRun
from cka_kubelet.faults.journal import Journal
from cka_kubelet.labspec import catalogue
from cka_kubelet.providers.container import ContainerProvider
from cka_kubelet.sessions.store import Store

PART = 6
"""Labs proved in an ordinary run; the next day others are, so all are within a few days."""


def part_of_the_day(names: list[str], day: int) -> set[str]:
    """PART names, moving on by PART each day and round at the end."""
    return {names[(day * PART + index) % len(names)] for index in range(min(PART, len(names)))}


@pytest.mark.parametrize("name", sorted(catalogue.files()))
def test_contract(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    named = os.environ.get("CKA_KUBELET_ALL_LABS") or request.config.getoption("keyword")
    today = part_of_the_day(sorted(catalogue.files()), int(time.time() // 86400))
    if not named and name not in today:
        pytest.skip(f"today's part is {', '.join(sorted(today))}; `make test-labs` proves all")
    request.getfixturevalue("home")
    file = catalogue.find(name)
    cluster = ContainerProvider(control_plane=file.lab.control_plane).acquire(lambda phase, detail: None)
    journal = Journal(tmp_path / "journal")
    store = Store(tmp_path / "history.db")

    def make() -> LabRun:
        return LabRun(file, cluster, journal=journal, store=store, clock=SystemClock())

    try:
        assert prove(make, cluster, SystemClock(), lambda phase, detail: None) == []
        assert journal.records() == []
    finally:
        store.close()
        cluster.destroy()

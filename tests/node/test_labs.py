"""Every lab keeps its contract on real nodes."""

from pathlib import Path

import pytest

from cka_kubelet.clock import SystemClock
from cka_kubelet.engine.contract import prove
from cka_kubelet.engine.run import LabRun
from cka_kubelet.faults.journal import Journal
from cka_kubelet.labspec import catalogue
from cka_kubelet.providers.container import ContainerCluster
from cka_kubelet.sessions.store import Store


@pytest.mark.parametrize("name", sorted(catalogue.files()))
def test_contract(name: str, cluster: ContainerCluster, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    store = Store(tmp_path / "history.db")

    def make() -> LabRun:
        return LabRun(catalogue.find(name), cluster, journal=journal, store=store, clock=SystemClock())

    assert prove(make, cluster, SystemClock(), lambda phase, detail: None) == []
    assert journal.records() == []
    store.close()

from pathlib import Path

import pytest

from cka_kubelet.clock import FakeClock
from cka_kubelet.faults.injection import Target
from cka_kubelet.faults.journal import Journal
from cka_kubelet.remote.fake import FakeShell
from tests.unit.faults.nodes import CLUSTER, make_node
from tests.unit.faults.objects import FakeObjects, objects_of_a_cluster


@pytest.fixture
def nodes(tmp_path: Path) -> dict[str, FakeShell]:
    return {name: make_node(tmp_path / name, name) for name in ("controlplane", "node01")}


@pytest.fixture
def api() -> FakeObjects:
    return FakeObjects(objects_of_a_cluster())


@pytest.fixture
def target(nodes: dict[str, FakeShell], api: FakeObjects) -> Target:
    return Target(CLUSTER, nodes.__getitem__, "controlplane", api, FakeClock())


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")

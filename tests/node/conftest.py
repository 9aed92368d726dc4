"""Real nodes: one pair for the whole run, made as a learner's would be, in a home of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cka_kubelet.errors import EnvironmentError_
from cka_kubelet.providers.container import ContainerCluster, ContainerProvider


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.node)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """This run's CKA_KUBELET_HOME. Its images and nodes are removed at the end; CKA_KUBELET_TEST_HOME keeps them."""
    kept = os.environ.get("CKA_KUBELET_TEST_HOME")
    path = Path(kept) if kept else tmp_path_factory.mktemp("home")
    before = os.environ.get("CKA_KUBELET_HOME")
    os.environ["CKA_KUBELET_HOME"] = str(path)
    yield path
    ContainerProvider().destroy_all(images=not kept)
    if before is None:
        del os.environ["CKA_KUBELET_HOME"]
    else:
        os.environ["CKA_KUBELET_HOME"] = before


@pytest.fixture(scope="session")
def provider(home: Path) -> ContainerProvider:
    """The provider of this run's nodes; the first `acquire` is a cold start."""
    return ContainerProvider()


@pytest.fixture
def cluster(provider: ContainerProvider) -> Iterator[ContainerCluster]:
    """Two fresh nodes, both Ready."""
    log: list[str] = []
    try:
        nodes = provider.acquire(lambda phase, detail: log.append(f"{phase}: {detail}"))
    except EnvironmentError_ as err:
        pytest.fail(f"{err.message} {err.hint}")
    yield nodes
    nodes.destroy()

"""Mirror pods: what is told when the API server does not take or drop one."""

from typing import Any

import pytest

from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.mirror import MirrorClient
from tests.unit.kubelet_pods.test_actions import pod

NODE = {"metadata": {"name": "n", "uid": "u-n"}}


class _API:
    def __init__(self, code: int, reason: str, message: str) -> None:
        self._error = StatusError(code, reason, message, None)

    async def create(self, path: str, body: Any) -> None:
        raise self._error

    async def delete(self, path: str, body: Any) -> None:
        raise self._error


def _static() -> objects.Pod:
    made = pod()
    made["metadata"]["annotations"] = {objects.HASH: "h", "kubernetes.io/config.source": "file"}
    return made


async def test_a_mirror_that_is_there_already_is_an_error_as_upstream_logs_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    api: Any = _API(409, "AlreadyExists", 'pods "p" already exists')
    await MirrorClient(api).create(_static(), NODE)
    assert '"Failed creating a mirror pod for" err="pods \\"p\\" already exists"' in capfd.readouterr().err


@pytest.mark.parametrize(("code", "told"), [(404, False), (409, False), (403, True)])
async def test_only_what_was_deleted_counts_as_deleted(
    capfd: pytest.CaptureFixture[str], code: int, told: bool
) -> None:
    api: Any = _API(code, "", "no")
    assert not await MirrorClient(api).delete(_static())
    assert ("Failed deleting a mirror pod" in capfd.readouterr().err) is told

"""Image garbage collection against a runtime in memory, and against none."""

import asyncio
from typing import Any

from cka_kubelet.clock import FakeClock
from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kubelet import system
from cka_kubelet.kubelet.images import ImageManager

_GB = 1 << 30


class _Runtime:
    """Has images; `down`: does not answer."""

    def __init__(self) -> None:
        self.images = [pb.Image(id=f"sha256:{n}", size=_GB, repo_tags=[f"i:{n}"]) for n in range(4)]
        self.down = False
        self.removed: list[str] = []

    async def list_images(self) -> list[Any]:
        if self.down:
            raise RpcError("Unavailable", "connection refused")
        return self.images

    async def list_containers(self) -> list[Any]:
        return [pb.Container(id="c", image_ref="sha256:0")]

    async def remove_image(self, spec: Any) -> None:
        self.removed.append(spec.image)
        self.images = [image for image in self.images if image.id != spec.image]


def _manager(runtime: _Runtime, clock: FakeClock, events: list[str], free: int) -> ImageManager:
    made = ImageManager(
        runtime, runtime, clock, lambda _type, reason, _text: events.append(reason),  # type: ignore[arg-type]
        high=85, low=80, minimum_age=120.0,
    )  # fmt: skip
    made._filesystem = system.Filesystem(100 * _GB, free * _GB, 1000, 900)
    return made


def _round(manager: ImageManager) -> str | None:
    """What one collection says."""

    async def first() -> str | None:
        return await manager._collect()

    return asyncio.run(first())


def test_above_the_high_threshold_unused_images_go_which_were_there_at_the_start_or_are_old_enough() -> None:
    runtime, clock, events = _Runtime(), FakeClock(), list[str]()
    manager = _manager(runtime, clock, events, free=14)  # 86 % used, 6 GB too much
    problem = str(_round(manager))
    assert problem.endswith(f"Attempted to free {6 * _GB} bytes, but only found {3 * _GB} bytes eligible to free.")
    assert (runtime.removed, events) == (["sha256:1", "sha256:2", "sha256:3"], ["FreeDiskSpaceFailed"])
    runtime.removed.clear()
    runtime.images.append(pb.Image(id="sha256:new", size=_GB))
    _round(manager)
    assert runtime.removed == []
    clock.sleep(121)
    _round(manager)
    assert runtime.removed == ["sha256:new"]


def test_below_the_threshold_nothing_goes() -> None:
    runtime, events = _Runtime(), list[str]()
    assert _round(_manager(runtime, FakeClock(), events, free=50)) is None
    assert (runtime.removed, events) == ([], [])


def test_a_runtime_that_is_gone_is_a_failed_round_not_the_end() -> None:
    runtime = _Runtime()
    runtime.down = True
    text = "rpc error: code = Unavailable desc = connection refused"
    assert _round(_manager(runtime, FakeClock(), [], free=50)) == text

"""Callbacks as phases."""

import pytest

from cka_kubelet.errors import ProvisionError
from cka_kubelet.tui.phases import Progress, phases
from cka_kubelet.tui.protocols import Phase


def test_a_phase_ends_when_the_next_begins() -> None:
    def work(progress: Progress) -> None:
        progress("image", "unpacking")
        progress("image", "committing")
        progress("nodes", "controlplane")

    assert list(phases(work)) == [
        Phase("image", "running", "unpacking"),
        Phase("image", "running", "committing"),
        Phase("image", "done", "committing"),
        Phase("nodes", "running", "controlplane"),
        Phase("nodes", "done", "controlplane"),
    ]


def test_what_work_raises_comes_through_after_its_phase_failed() -> None:
    def work(progress: Progress) -> None:
        progress("image", "")
        raise ProvisionError("no disk")

    seen = []
    with pytest.raises(ProvisionError):
        for phase in phases(work):
            seen.append(phase.state)
    assert seen == ["running", "failed"]

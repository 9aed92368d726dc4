"""`python3 -m cka_kubelet.controlplane.kube_scheduler`: the scheduler, with kube-scheduler's flags."""

import sys

from cka_kubelet.controlplane import flagtable
from cka_kubelet.controlplane.command import Program, execute
from cka_kubelet.controlplane.flags import Settings

_ABOUT = "The scheduler finds a node for every pod that has none: first those that can run it, then the best\nof them."


async def _run(settings: Settings) -> None:
    from cka_kubelet.controlplane import schedulerrun  # a wrong flag need not wait for these imports

    await schedulerrun.run(settings)


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; the exit status."""
    program = Program("kube-scheduler", _ABOUT, flagtable.scheduler(), _run)
    return execute(program, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    raise SystemExit(main())

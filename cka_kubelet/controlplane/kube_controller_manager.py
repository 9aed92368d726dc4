"""`python3 -m cka_kubelet.controlplane.kube_controller_manager`: the controllers, with upstream's flags."""

import sys

from cka_kubelet.controlplane import flagtable
from cka_kubelet.controlplane.command import Program, execute
from cka_kubelet.controlplane.flags import Settings

_ABOUT = (
    "The controller manager runs the loops that watch the cluster's objects through the API server and make\n"
    "changes until the cluster is as those objects say."
)


async def _run(settings: Settings) -> None:
    from cka_kubelet.controlplane import managerrun  # a wrong flag need not wait for these imports

    await managerrun.run(settings)


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; the exit status."""
    program = Program("kube-controller-manager", _ABOUT, flagtable.controller_manager(), _run)
    return execute(program, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    raise SystemExit(main())

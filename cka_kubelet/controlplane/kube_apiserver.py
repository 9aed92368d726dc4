"""`python3 -m cka_kubelet.controlplane.kube_apiserver`: the API server alone, with kube-apiserver's flags."""

import sys

from cka_kubelet.controlplane import app, flagtable
from cka_kubelet.controlplane.command import Program, execute

_ABOUT = (
    "The API server keeps the cluster's objects, checks and completes what is written to them, and tells\n"
    "everybody who watches; all parts of the cluster meet here and nowhere else."
)


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; the exit status."""
    program = Program("kube-apiserver", _ABOUT, flagtable.api_server(), app.run, usage=False)
    return execute(program, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    raise SystemExit(main())

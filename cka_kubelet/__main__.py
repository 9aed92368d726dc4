"""`python -m cka_kubelet`: the same as the `cka-kubelet` command."""

from cka_kubelet.cli import main

main()

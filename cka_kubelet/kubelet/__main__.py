"""`python3 -m cka_kubelet.kubelet`: the node agent."""

import sys

from cka_kubelet.kubelet.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

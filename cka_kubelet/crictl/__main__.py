"""`python3 -m cka_kubelet.crictl`."""

import sys

from cka_kubelet.crictl.app import main

sys.exit(main(sys.argv[1:]))

"""`python3 -m cka_kubelet.kubeadm`."""

import sys

from cka_kubelet.kubeadm.app import main

sys.exit(main(sys.argv[1:]))

"""cka-kubelet: a Kubernetes node-troubleshooting trainer. See README.md for the two halves and how they meet."""

__version__ = "0.1.0"

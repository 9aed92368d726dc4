"""kubeadm's commands that troubleshooting needs, for nodes that cannot have upstream's: certs, kubeconfig, token.

Same flags, columns, messages and exit codes as kubeadm 1.36 (kubernetes.io/docs/reference/setup-tools/kubeadm).
"""

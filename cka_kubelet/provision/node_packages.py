"""Debian packages of a lab node. The same names exist in Debian 12, Debian 13 and Ubuntu 24.04."""

BOOT = (
    "systemd", "systemd-sysv", "dbus", "udev", "kmod", "openssh-server", "python3", "ca-certificates", "iproute2",
    "procps",
)  # fmt: skip
"""What a node needs to boot and to be reached."""

RUNTIME = ("containerd", "runc", "containernetworking-plugins", "iptables", "nftables", "conntrack", "ethtool", "socat")
"""What kubeadm's documentation asks of a node."""

NODE_HALF = ("python3-h11", "python3-h2", "python3-protobuf", "python3-yaml", "openssl")
"""All that the kubelet, crictl and the control plane import beyond the standard library."""

TOOLS = (
    "bash-completion", "busybox-static", "curl", "iputils-ping", "jq", "kubernetes-client", "less", "lsof", "nano",
    "netcat-openbsd", "openssh-client", "psmisc", "sudo", "tcpdump", "tree", "vim-tiny",
)  # fmt: skip
"""What somebody who repairs a node reaches for; busybox-static is also what the lab's images are made of."""

STATIC_CONTROL_PLANE = ("etcd-client",)
"""etcdctl, where etcd runs as a static pod. etcd-server is not installed (it would start an etcd of its own): the
programs for etcd's image are taken out of the package."""

PROVISION = (*RUNTIME, *NODE_HALF, *TOOLS)
ALL = (*BOOT, *PROVISION)

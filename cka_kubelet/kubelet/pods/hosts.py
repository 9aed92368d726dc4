"""The /etc/hosts file that the kubelet gives a pod's containers. Pure."""

from typing import Any

_HEAD = (
    "# Kubernetes-managed hosts file.\n"
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "fe00::0\tip6-mcastprefix\n"
    "fe00::1\tip6-allnodes\n"
    "fe00::2\tip6-allrouters\n"
)


def hosts_file(
    pod_ips: list[str], hostname: str, domain: str, aliases: list[dict[str, Any]], node_hosts: str | None
) -> str:
    """The file's text; `node_hosts` is the node's own file for a pod in the host's network, else None."""
    if node_hosts is not None:
        text = "# Kubernetes-managed hosts file (host network).\n" + node_hosts
    else:
        names = f"{hostname}.{domain}\t{hostname}" if domain else hostname
        text = _HEAD + "".join(f"{ip}\t{names}\n" for ip in pod_ips)
    if aliases:
        text += "\n# Entries added by HostAliases.\n"
        text += "".join("\t".join([a["ip"], *(a.get("hostnames") or [])]) + "\n" for a in aliases)
    return text

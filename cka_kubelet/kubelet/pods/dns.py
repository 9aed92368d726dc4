"""A pod's resolver configuration, after pkg/kubelet/network/dns. Pure, but for reading the node's resolv.conf."""

from pathlib import Path
from typing import NamedTuple

from cka_kubelet.kubelet.pods import objects


class DNSConfig(NamedTuple):
    """What goes into the pod's resolv.conf."""

    servers: list[str]
    searches: list[str]
    options: list[str]


def parse_resolv_conf(text: str) -> DNSConfig:
    """nameserver, search and options lines; the last search and options line wins."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        fields = line.split("#")[0].split(";")[0].split()
        if len(fields) < 2 and fields[:1] != ["search"]:
            continue
        if fields[0] == "nameserver":
            servers.append(fields[1])
        elif fields[0] == "search":
            searches = [s if s == "." else s.rstrip(".") for s in fields[1:]]
        elif fields[0] == "options":
            options = fields[1:]
    return DNSConfig(servers, searches, options)


def host_dns(path: str) -> DNSConfig:
    """The node's own configuration; an empty path means none. Raises OSError."""
    return parse_resolv_conf(Path(path).read_text()) if path else DNSConfig([], [], [])


def policy(pod: objects.Pod, cluster_dns: list[str]) -> tuple[str, bool]:
    """(effective policy "cluster"|"host"|"none", whether ClusterFirst had to fall back for want of clusterDNS)."""
    wanted = pod["spec"].get("dnsPolicy") or "ClusterFirst"
    if wanted == "None":
        return "none", False
    if wanted == "Default" or (wanted == "ClusterFirst" and objects.host_network(pod)):
        return "host", False
    return ("cluster", False) if cluster_dns else ("host", True)


def pod_dns(pod: objects.Pod, host: DNSConfig, cluster_dns: list[str], domain: str) -> DNSConfig:
    """The pod's servers, searches and options."""
    kind, _ = policy(pod, cluster_dns)
    if kind == "cluster":
        own = [f"{objects.namespace(pod)}.svc.{domain}", f"svc.{domain}", domain] if domain else []
        base = DNSConfig(list(cluster_dns), own + [s for s in host.searches if s not in own], ["ndots:5"])
    elif kind == "host":
        base = DNSConfig(list(host.servers), list(host.searches), list(host.options))
    else:
        base = DNSConfig([], [], [])
    extra = pod["spec"].get("dnsConfig") or {}
    servers = base.servers + [s for s in extra.get("nameservers") or [] if s not in base.servers]
    searches = base.searches + [s for s in extra.get("searches") or [] if s not in base.searches]
    options = {o.partition(":")[0]: o for o in base.options}
    for option in extra.get("options") or []:
        value = option.get("value")
        options[option["name"]] = option["name"] if value in (None, "") else f"{option['name']}:{value}"
    return DNSConfig(servers[:3], searches[:32], list(options.values()))

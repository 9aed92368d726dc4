"""--node-ip: parsed as component-helpers' ParseNodeIPArgument does, checked as the node status setters do."""

import ipaddress

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kubelet import system


class NodeIPError(ValueError):
    """The flag cannot be used. str() is upstream's message."""


def parse(text: str) -> list[str]:
    """The addresses in the flag, those that are none left out with a line. Raises NodeIPError."""
    good, bad = [], []
    for part in (part.strip() for part in text.split(",")) if text else ():
        try:
            good.append(ipaddress.ip_address(part))
        except ValueError:
            bad.append(part)
    problem = ""
    if len(good) > 2 or (len(good) == 2 and good[0].version == good[1].version):
        problem = "must contain either a single IP or a dual-stack pair of IPs"
    elif len(good) == 2 and any(address.is_unspecified for address in good):
        problem = "dual-stack node IP cannot include '0.0.0.0' or '::'"
    if problem:
        raise NodeIPError(f"bad --node-ip {quote(text)}: {problem}")
    if bad:
        klog.info("server.go:1140", "Could not parse some node IP(s), ignoring them", IPs=bad)
    return [str(address) for address in good]


def problem(text: str) -> str | None:
    """Why a node cannot have this address, None when it can."""
    address = ipaddress.ip_address(text)
    for wrong, what in (
        (address.is_loopback, "loopback address"),
        (address.is_multicast, "a multicast address"),
        (address.is_link_local, "a link-local unicast address"),
    ):
        if wrong:
            return f"nodeIP can't be {what}"
    if not system.is_local(text):
        return f"node IP: {quote(text)} not found in the host's network interfaces"
    return None


def addresses(wanted: list[str]) -> tuple[list[str], str | None]:
    """The node's addresses, best first, and what is wrong with those that were asked for."""
    chosen = [address for address in wanted if not ipaddress.ip_address(address).is_unspecified]
    for address in chosen:
        wrong = problem(address)
        if wrong is not None:
            return [], f"failed to validate nodeIP: {wrong}"
    if chosen:
        return chosen, None
    found = system.default_address(prefer_ipv6="::" in wanted)
    return ([found] if found else []), None

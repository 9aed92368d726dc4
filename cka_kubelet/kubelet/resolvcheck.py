"""The look at resolvConf every 30 s, whose complaints are node events (network/dns CheckLimitsForResolvConf)."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from cka_kubelet.kube.gofmt import path_error, quote
from cka_kubelet.kubelet.pods.dns import parse_resolv_conf

_PERIOD = 30.0
_MOST_DOMAINS, _OWN_DOMAINS = 32, 3
_LONGEST_DOMAIN, _LONGEST_LINE = 253, 2048


def problem(path: str, cluster_domain: str) -> str | None:
    """What is wrong with the file for pods that get its search list, None when nothing is."""
    try:
        text = Path(path).read_text(errors="replace")
    except OSError as error:
        return path_error("read" if isinstance(error, IsADirectoryError) else "open", path, error)
    searches = parse_resolv_conf(text).searches
    most = _MOST_DOMAINS - (_OWN_DOMAINS if cluster_domain else 0)
    if len(searches) > most:
        return f"Resolv.conf file '{path}' contains search line consisting of more than {most} domains!"
    if any(len(search) > _LONGEST_DOMAIN for search in searches):
        return (
            f"Resolv.conf file {quote(path)} contains a search path which length is more than allowed "
            f"{_LONGEST_DOMAIN}!"
        )
    if len(" ".join(searches)) > _LONGEST_LINE:
        return (
            f"Resolv.conf file '{path}' contains search line which length is more than allowed {_LONGEST_LINE} chars!"
        )
    return None


async def run(path: str, cluster_domain: str, event: Callable[[str, str, str], None]) -> None:
    """Look until cancelled; `event(type, reason, message)` writes a node event."""
    while True:
        wrong = problem(path, cluster_domain)
        if wrong is not None:
            event("Warning", "CheckLimitsForResolvConf", wrong)
        await asyncio.sleep(_PERIOD)

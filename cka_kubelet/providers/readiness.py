"""Waiting for nodes: until SSH answers, until Kubernetes says Ready and means today."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from cka_kubelet.clock import Clock, wait_until
from cka_kubelet.errors import NodeUnreachableError, ProvisionError
from cka_kubelet.remote.shell import Shell

SSH_SECONDS = 90.0
READY_SECONDS = 120.0

_QUERY = (
    "kubectl get nodes -o jsonpath='{range .items[*]}node {.metadata.name} "
    '{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}\' && '
    "kubectl get leases -n kube-node-lease -o jsonpath='{range .items[*]}lease {.metadata.name} "
    '{.spec.renewTime}{"\\n"}{end}\''
)


def wait_for_ssh(shell: Shell, clock: Clock, seconds: float = SSH_SECONDS) -> None:
    """Until the node answers a command. Raises NodeUnreachableError with the last reason."""
    reason: list[NodeUnreachableError] = []

    def answers() -> bool:
        try:
            shell.run(["true"], timeout=5)
        except NodeUnreachableError as err:
            reason[:] = [err]
            return False
        return True

    if not wait_until(answers, seconds, clock, every=0.05):
        raise reason[0]


def hurry(shells: Mapping[str, Shell], server: str) -> None:
    """Start every kubelet afresh as soon as the API server answers; the first of `shells` is the control plane's.

    Kubelets that boot before their API server try again after longer and longer pauses, up to 7 s. Where the control
    plane is a kubelet's own pods, that is every boot. Raises NodeError when no server answers.
    """
    control_plane, *_ = shells.values()
    control_plane.run(["systemctl", "start", "kubelet"], timeout=30)
    control_plane.run(["sh", "-c", _API_ANSWERS, "sh", server], timeout=READY_SECONDS)
    with ThreadPoolExecutor(max_workers=len(shells)) as pool:
        list(pool.map(lambda shell: shell.run(["systemctl", "restart", "kubelet"], timeout=30), shells.values()))


_API_ANSWERS = 'until curl -fsk -m 2 "$1/readyz" >/dev/null; do sleep 0.1; done'


def wait_until_ready(shell: Shell, names: Sequence[str], since: float | None, clock: Clock) -> None:
    """Until every node is Ready and has renewed its lease after `since` (epoch seconds).

    A committed image holds the Ready of the day it was made, so only a fresh lease counts. Nodes that have just
    registered (`since` None) have no lease for their first ten seconds, as upstream's. Raises ProvisionError.
    """
    said = ""

    def ready() -> bool:
        nonlocal said
        result = shell.run(["sh", "-c", _QUERY], timeout=20, check=False)
        said = result.text + result.stderr.decode("utf-8", "replace")
        return result.ok and all_ready(result.text, names, since)

    if not wait_until(ready, READY_SECONDS, clock, every=0.1):
        raise ProvisionError(
            f"the nodes did not become Ready within {READY_SECONDS:g} s: {' '.join(said.split())[-300:]}",
            "Look with `cka-kubelet nodes shell node01` and `journalctl -u kubelet`; "
            "`cka-kubelet nodes destroy --images` starts afresh.",
        )


def all_ready(text: str, names: Sequence[str], since: float | None) -> bool:
    """Whether the query's output shows every node Ready with a lease renewed after `since`."""
    ready, fresh = set(), set()
    for line in text.splitlines():
        words = line.split()
        if len(words) != 3:
            continue
        kind, name, value = words
        if kind == "node" and value == "True":
            ready.add(name)
        elif kind == "lease" and since is not None and _renewed(value) >= since:
            fresh.add(name)
    return set(names) <= (ready if since is None else ready & fresh)


def _renewed(value: str) -> float:
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0

"""Injection only into nodes of ours: the marker on the node must match what the provider knows of it."""

import json
from pathlib import Path

from cka_kubelet.errors import HostKeyError, NodeError, NodeUnreachableError, UnsafeTargetError
from cka_kubelet.remote.shell import Shell

MARKER = "/etc/cka-lab/node.json"
_HINT = "Nothing was changed. A lab node is made by `cka-kubelet lab`, or on your own host with --host and consent."


def require_marker(shell: Shell, cluster_id: str, *, own_machine_id: Path = Path("/etc/machine-id")) -> None:
    """Return when the node carries the marker of `cluster_id` and is not this machine. Raises UnsafeTargetError,
    NodeUnreachableError, HostKeyError."""
    try:
        raw = shell.read_file(MARKER, limit=64 * 1024)
        marker = json.loads(raw)
    except FileNotFoundError:
        raise UnsafeTargetError(f"{shell.name} carries no marker ({MARKER}): it is not a lab node", _HINT) from None
    except (NodeUnreachableError, HostKeyError):
        raise  # nothing is known about the marker
    except (NodeError, ValueError) as err:
        raise UnsafeTargetError(f"{shell.name}: the marker {MARKER} cannot be used: {err}", _HINT) from None
    expected = {"cluster": cluster_id, "node": shell.name}
    if not isinstance(marker, dict) or {key: marker.get(key) for key in expected} != expected:
        raise UnsafeTargetError(f"{shell.name}: the marker {MARKER} is of another cluster or node", _HINT)
    theirs = _machine_id(shell)
    if "machine_id" in marker and marker["machine_id"] != theirs:
        raise UnsafeTargetError(f"{shell.name}: the marker was made for another machine", _HINT)
    ours = own_machine_id.read_text("ascii").strip() if own_machine_id.exists() else ""
    if ours and theirs == ours:
        raise UnsafeTargetError(f"{shell.name} is this very machine; faults never go there", _HINT)


def _machine_id(shell: Shell) -> str:
    try:
        return shell.read_file("/etc/machine-id", limit=128).decode("ascii", "replace").strip()
    except (NodeUnreachableError, HostKeyError):
        raise
    except (FileNotFoundError, NodeError):
        return ""

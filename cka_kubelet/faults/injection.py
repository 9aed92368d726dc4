"""Putting a fault into a node, and taking it out again, journalled so that a crash at any point can be undone."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cka_kubelet.errors import LabError, LabStartError, NodeError, RestoreError
from cka_kubelet.faults.api import Context, Fault, Value, settle
from cka_kubelet.faults.guard import require_marker
from cka_kubelet.faults.journal import Journal, Record
from cka_kubelet.remote import nodestate
from cka_kubelet.remote.shell import Shell
from cka_kubelet.remote.steps import operations, touches

ShellOf = Callable[[str], Shell]


@dataclass(frozen=True)
class Target:
    """Where injections go: the cluster's id, its shells by node name, and its control plane's name."""

    cluster: str
    shell: ShellOf
    control_plane: str


def inject(
    journal: Journal,
    target: Target,
    lab: str,
    fault: Fault,
    node: str,
    given: Mapping[str, Value],
    *,
    seed: int = 0,
    now: float = 0.0,
) -> Record:
    """Break `node`. Raises UnsafeTargetError before anything else when it is not ours, LabStartError when the node
    does not fit the fault; then nothing was changed. After any other LabError `undo` must follow."""
    shell = target.shell(node)
    require_marker(shell, target.cluster)
    context = Context(
        node=node,
        control_plane=target.control_plane,
        parameters=settle(fault, given),
        read=lambda where, path: target.shell(where).read_file(path),
        link=lambda where, path: _link(target.shell(where), path),
        files=lambda where, path: _files(target.shell(where), path),
        random=random.Random(f"{seed}:{lab}:{fault.name}:{node}"),  # noqa: S311 - variety, not secrecy
        now=now,
    )
    try:
        steps = fault.steps(context)
    except (FileNotFoundError, ValueError) as err:
        raise LabStartError(
            f"{node} does not fit fault {fault.name}: {err}",
            "Make the nodes anew: `cka-kubelet nodes destroy`, then start the lab again.",
        ) from err
    paths, units = touches(steps)
    record = journal.begin(target.cluster, node, lab, fault.name)
    before = nodestate.capture(shell, paths, units)
    todo = operations(steps, before.paths)
    record = journal.captured(record, before)
    nodestate.apply(shell, todo)
    return journal.applied(record)


def undo(journal: Journal, record: Record, shell: Shell, cluster: str) -> list[str]:
    """Put a node back as it was before `record`; gives the paths that had to be changed. Accepts every stage, and
    being repeated. Raises RestoreError when the node is not byte for byte as before, UnsafeTargetError when it is
    not the node that the record speaks of, NodeUnreachableError."""
    if record.before is None or record.stage == "intent":
        journal.restored(record)
        return []
    require_marker(shell, cluster)
    changed, errors = nodestate.restore(shell, record.before)
    left = nodestate.differences(
        record.before, nodestate.capture(shell, list(record.before.paths), list(record.before.units))
    )
    if errors or left:
        raise RestoreError(
            f"{record.node}: not everything is as it was: {'; '.join([*errors, *left])}",
            "Run `cka-kubelet restore` again; if that does not help, make the nodes anew: `cka-kubelet nodes destroy`.",
        )
    journal.restored(record)
    return changed


def undo_all(journal: Journal, target: Target) -> list[tuple[Record, list[str]]]:
    """Undo everything pending on one cluster, newest first. Tries every record before it raises the first error."""
    done: list[tuple[Record, list[str]]] = []
    first: LabError | None = None
    for record in journal.pending(target.cluster):
        try:
            done.append((record, undo(journal, record, target.shell(record.node), target.cluster)))
        except LabError as err:
            first = first or err
    if first is not None:
        raise first
    return done


def _link(shell: Shell, path: str) -> str:
    state = nodestate.capture(shell, [path], []).paths[path]
    if state["kind"] != "symlink":
        raise NodeError(f"{shell.name}: {path} is not a symbolic link ({state['kind']})")
    target: str = state["target"]
    return target


def _files(shell: Shell, directory: str) -> list[str]:
    return sorted(path for path in nodestate.manifest(shell, [directory]) if path != directory)

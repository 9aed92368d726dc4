"""Putting a fault into a node, and taking it out again, journalled so that a crash at any point can be undone."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cka_kubelet.clock import Clock, SystemClock
from cka_kubelet.errors import LabError, LabStartError, NodeError, RestoreError
from cka_kubelet.faults.api import Context, Fault, Value, settle
from cka_kubelet.faults.guard import require_marker
from cka_kubelet.faults.journal import Journal, Record
from cka_kubelet.remote import nodestate, objects
from cka_kubelet.remote.kubeapi import KubeAPI
from cka_kubelet.remote.objects import ObjectStep
from cka_kubelet.remote.shell import Shell
from cka_kubelet.remote.steps import operations, touches

ShellOf = Callable[[str], Shell]


@dataclass(frozen=True)
class Target:
    """Where injections go: the cluster's id, its shells by node name, its control plane's name and API server."""

    cluster: str
    shell: ShellOf
    control_plane: str
    api: KubeAPI
    clock: Clock = field(default_factory=SystemClock)


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
        object=lambda path: objects.read(target.api, path),
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
    of_node = [step for step in steps if not isinstance(step, ObjectStep)]
    of_api = [step for step in steps if isinstance(step, ObjectStep)]
    paths, units = touches(of_node)
    record = journal.begin(target.cluster, node, lab, fault.name)
    before = replace(nodestate.capture(shell, paths, units), objects=objects.capture(target.api, of_api))
    todo = operations(of_node, before.paths)
    record = journal.captured(record, before)
    objects.apply(target.api, of_api)  # first: what follows may silence the API server
    nodestate.apply(shell, todo)
    return journal.applied(record)


def undo(journal: Journal, record: Record, target: Target) -> list[str]:
    """Put everything back as it was before `record`; gives the paths that had to be changed. Accepts every stage, and
    being repeated. Raises RestoreError when the node is not byte for byte as before, UnsafeTargetError when it is
    not the node that the record speaks of, NodeUnreachableError."""
    changed = _undo_node(record, target)
    changed += _undo_objects(record, target)
    journal.restored(record)
    return changed


def _undo_objects(record: Record, target: Target) -> list[str]:
    if record.before is None or not record.before.objects:
        return []
    return objects.restore(target.api, record.before.objects, target.clock)


def _undo_node(record: Record, target: Target) -> list[str]:
    if record.before is None or record.stage == "intent":
        return []
    shell = target.shell(record.node)
    require_marker(shell, target.cluster)
    if not record.before.paths and not record.before.units:
        return []
    changed, errors = nodestate.restore(shell, record.before)
    left = nodestate.differences(
        record.before, nodestate.capture(shell, list(record.before.paths), list(record.before.units))
    )
    if errors or left:
        raise RestoreError(
            f"{record.node}: not everything is as it was: {'; '.join([*errors, *left])}",
            "Run `cka-kubelet restore` again; if that does not help, make the nodes anew: `cka-kubelet nodes destroy`.",
        )
    return changed


def undo_all(journal: Journal, target: Target) -> list[tuple[Record, list[str]]]:
    """Undo everything pending on one cluster, newest first. Tries every record before it raises the first error.
    Nodes come before objects, which need an API server that may have been what was broken."""
    changed: dict[str, list[str]] = {}
    first: LabError | None = None
    records = journal.pending(target.cluster)
    for part in (_undo_node, _undo_objects):
        for record in records if part is _undo_node else [r for r in records if r.id in changed]:
            try:
                changed.setdefault(record.id, []).extend(part(record, target))
            except LabError as err:
                changed.pop(record.id, None)
                first = first or err
    done = [(record, changed[record.id]) for record in records if record.id in changed]
    for record, _ in done:
        journal.restored(record)
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

"""Carrying out a lab's checks. Two witnesses that do not depend on each other: the API server, and the node by SSH.

A check that cannot be carried out (node unreachable, kubectl broken) gives ERROR, never FAIL.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from cka_kubelet.clock import Clock, wait_until
from cka_kubelet.errors import CommandError, LabError, NodeError, NodeUnreachableError
from cka_kubelet.labspec.checks import (
    ApiAnswers,
    Check,
    CrictlWorks,
    ExecWorks,
    FileIs,
    LogsWork,
    NodeReady,
    ObjectIs,
    PodReady,
    PodRuns,
    SurvivesReboot,
    Unchanged,
    UnitIs,
)
from cka_kubelet.remote import nodestate
from cka_kubelet.remote.shell import Shell
from cka_kubelet.scoring import podchecks
from cka_kubelet.scoring.result import Category, Line, Verdict
from cka_kubelet.scoring.witness import ApiWitness


@dataclass(frozen=True)
class Surroundings:
    """What checks look at. `before`: node → path → line of the manifest taken before the fault; `faulty`: node →
    paths that the fault itself changed. `patience`: seconds a check may wait are capped by it (0: look once)."""

    api: ApiWitness
    shell: Callable[[str], Shell]
    reboot: Callable[[str], None]
    clock: Clock
    before: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    faulty: Mapping[str, frozenset[str]] = field(default_factory=dict)
    patience: float = 900.0


Found = tuple[bool, str]


def run(check: Check, category: Category, around: Surroundings) -> Line:
    """One line for one check. Raises nothing but what is a defect or Ctrl-C."""
    try:
        ok, found = _look(check, around)
    except (LabError, OSError) as err:
        return Line(category, name_of(check), Verdict.ERROR, expected(check), f"could not be graded: {err}")
    return Line(category, name_of(check), Verdict.PASS if ok else Verdict.FAIL, expected(check), found)


def _look(check: Check, around: Surroundings) -> Found:
    match check:
        case ApiAnswers():
            return _api_answers(check, around)
        case PodReady():
            return podchecks.pod_ready(check, around.api, around.clock, around.patience)
        case LogsWork():
            return podchecks.logs_work(check, around.api, around.clock, around.patience)
        case ExecWorks():
            return podchecks.exec_works(check, around.api, around.clock, around.patience)
        case CrictlWorks():
            shell = around.shell(check.node)
            return podchecks.crictl_works(check, around.api, shell, around.clock, around.patience)
        case ObjectIs():
            return podchecks.object_is(check, around.api)
        case NodeReady():
            return _node_ready(check.node, check.within, around)
        case PodRuns():
            return _pod_runs(check, around)
        case UnitIs():
            return _unit(check, around.shell(check.node))
        case FileIs():
            return _file(check, around.shell(check.node))
        case Unchanged():
            return _unchanged(check, around)
        case SurvivesReboot():
            return _survives_reboot(check, around)
        case _:
            assert_never(check)


def name_of(check: Check) -> str:
    """A short name for people."""
    match check:
        case ApiAnswers():
            return "the API server answers"
        case PodReady():
            return f"{check.pod or check.selector} is Ready"
        case LogsWork():
            return f"logs of pods on {check.node} can be read"
        case ExecWorks():
            return f"commands can be run in pods on {check.node}"
        case CrictlWorks():
            return f"crictl works on {check.node}"
        case ObjectIs():
            return f"{check.kind} {check.name}"
        case NodeReady():
            return f"{check.node} is Ready"
        case PodRuns():
            return f"a new pod runs on {check.node}"
        case UnitIs():
            return f"{check.unit} on {check.node}"
        case FileIs():
            return f"{check.path} on {check.node}"
        case Unchanged():
            return f"nothing else was changed on {check.node}"
        case SurvivesReboot():
            return f"{check.node} survives a reboot"
        case _:
            assert_never(check)


def expected(check: Check) -> str:
    """What the check wants to find, for people."""
    match check:
        case ApiAnswers():
            return f"/readyz says ok, and an object can be written, within {check.within} s"
        case PodReady():
            return f"{check.count} or more, all of them Ready, within {check.within} s"
        case LogsWork():
            return f"a random word that a new pod printed, within {check.within} s"
        case ExecWorks():
            return f"a random word from an echo in a new pod, within {check.within} s"
        case CrictlWorks():
            return f"the container of a new pod is listed within {check.within} s"
        case ObjectIs():
            has = [f"{at} is {value!r}" for at, value in check.has.items()]
            return "; ".join([*has, *(f"no {at}" for at in check.lacks)]) or "it is there"
        case NodeReady():
            return "Ready=True, a fresh heartbeat, and a kubelet that answers"
        case PodRuns():
            return f"a pod with a random name is Running within {check.within} s"
        case UnitIs():
            wants = [
                *([] if check.active is None else ["active" if check.active else "inactive"]),
                *([] if check.enabled is None else ["enabled" if check.enabled else "disabled"]),
            ]
            return ", ".join(wants)
        case FileIs():
            return "; ".join([*(f"has {t!r}" for t in check.contains), *(f"has no {t!r}" for t in check.lacks)])
        case Unchanged():
            return "every other file as it was before the fault"
        case SurvivesReboot():
            return f"Ready again by itself within {check.within} s of a reboot"
        case _:
            assert_never(check)


def _api_answers(check: ApiAnswers, around: Surroundings) -> Found:
    found = ""

    def answers() -> bool:
        nonlocal found
        try:
            ready, found = around.api.ready()
        except NodeUnreachableError as err:
            found = err.message
            return False
        return ready

    if not wait_until(answers, min(check.within, around.patience), around.clock, every=0.5):
        around.shell(check.node).run(["true"])  # raises when it is the node that cannot be reached
        return False, found
    kept = around.api.keeps()
    return kept, f"{found}; what was written {'was read back' if kept else 'is gone'}"


def _node_ready(node: str, within: float, around: Surroundings, since: float = 0.0) -> Found:
    """`since`: the heartbeat must be younger than this, by the control plane's clock."""
    found = "nothing"

    def ready() -> bool:
        nonlocal found
        snapshot = around.api.snapshot()
        facts = snapshot.node(node)
        age = None if facts.renewed is None else snapshot.now - facts.renewed
        found = f"Ready={facts.ready or '?'} {facts.reason}, heartbeat {'never' if age is None else f'{age:.0f} s ago'}"
        if facts.ready != "True" or not snapshot.fresh(node) or (facts.renewed or 0.0) <= since:
            return False
        answers = around.api.kubelet_answers(node)
        found += "" if answers else ", but its kubelet does not answer on port 10250"
        return answers

    ok = wait_until(ready, min(within, around.patience), around.clock, every=0.5)
    return ok, found


def _pod_runs(check: PodRuns, around: Surroundings) -> Found:
    ok, found = _node_ready(check.node, 0, around)
    if not ok:
        return False, f"no pod was started, because the node is not Ready ({found})"
    name = around.api.start_pod(check.node)
    detail = "nothing"

    def running() -> bool:
        nonlocal detail
        facts = around.api.pod(name)
        detail = f"{facts.detail} on {facts.node}"
        return facts.running and facts.node == check.node

    try:
        ok = wait_until(running, podchecks.for_a_new_pod(check.within, around.patience), around.clock, every=0.25)
    finally:
        around.api.delete_pod(name)
    return ok, f"{name}: {detail}"


def _unit(check: UnitIs, shell: Shell) -> Found:
    state = nodestate.capture(shell, [], [check.unit]).units[check.unit]
    active, enabled = state["active"] == "active", state["file"] == "enabled"
    ok = check.active in (None, active) and check.enabled in (None, enabled)
    return ok, f"{state['active']}, {state['file'] or 'not installed'}"


def _file(check: FileIs, shell: Shell) -> Found:
    try:
        text = shell.read_file(check.path, limit=1024 * 1024).decode("utf-8", "replace")
    except FileNotFoundError:
        return False, "no such file"
    except NodeError as err:
        if isinstance(err, CommandError) or type(err) is NodeError:
            return False, str(err)
        raise
    missing = [f"no {wanted!r}" for wanted in check.contains if wanted not in text]
    present = [f"{unwanted!r}" for unwanted in check.lacks if unwanted in text]
    return not missing and not present, ", ".join([*missing, *present]) or "as expected"


def _unchanged(check: Unchanged, around: Surroundings) -> Found:
    before = around.before.get(check.node, {})
    now = nodestate.manifest(around.shell(check.node), check.paths, check.excluding)
    own = around.faulty.get(check.node, frozenset())
    roots = tuple(check.paths)
    watched = {
        path: line
        for path, line in before.items()
        if path not in own and any(_below(path, r) for r in roots) and not any(_below(path, e) for e in check.excluding)
    }
    changed = [path if path in now else f"{path} (gone)" for path, line in watched.items() if now.get(path) != line]
    if changed:
        return False, "changed: " + ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" * (len(changed) > 5))
    return True, f"{len(watched)} files and directories as before"


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _survives_reboot(check: SurvivesReboot, around: Surroundings) -> Found:
    start = around.api.snapshot().now
    around.reboot(check.node)
    ok, found = _api_answers(ApiAnswers(check="api-answers", node=check.node, within=check.within), around)
    if ok:
        ok, found = _node_ready(check.node, check.within, around, since=start)
    return ok, f"after the reboot: {found}"

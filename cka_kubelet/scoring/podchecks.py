"""Checks by way of pods: the lab's own, and new ones with names nobody can foresee."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cka_kubelet.clock import Clock, wait_until
from cka_kubelet.labspec.checks import CrictlWorks, ExecWorks, LogsWork, ObjectIs, PodReady
from cka_kubelet.labspec.workload import path_of
from cka_kubelet.remote.kubeapi import Answer
from cka_kubelet.remote.shell import Shell
from cka_kubelet.scoring.podstate import PodState
from cka_kubelet.scoring.witness import ApiWitness

Found = tuple[bool, str]
NEW_POD_SECONDS = 10.0
_WAIT = "trap exit TERM; while :; do sleep 1 & wait; done"


def for_a_new_pod(within: float, patience: float) -> float:
    """Seconds to wait for a pod that was only just made: even an impatient look gives it the time to start."""
    return min(within, max(patience, NEW_POD_SECONDS))


def pod_ready(check: PodReady, api: ApiWitness, clock: Clock, patience: float) -> Found:
    found = "no pod"

    def ready() -> bool:
        nonlocal found
        pods = [pod for pod in api.pods(check.namespace, check.pod, check.selector) if not pod.over]
        found = ", ".join(f"{pod.name}: {pod.status}" for pod in pods[:5]) or "no pod"
        if len(pods) < check.count or not all(pod.ready for pod in pods):
            found += "" if all(pod.ready for pod in pods) else ", not Ready"
            return False
        for node in {pod.node for pod in pods}:
            if not api.kubelet_has(node, [pod for pod in pods if pod.node == node]):
                found += f", but the kubelet on {node} does not say so"
                return False
        return True

    return wait_until(ready, min(check.within, patience), clock, every=0.5), found


def logs_work(check: LogsWork, api: ApiWitness, clock: Clock, patience: float) -> Found:
    word = secrets.token_hex(8)
    with _pod(api, check.node, ["sh", "-c", f"echo {word}; {_WAIT}"]) as name:
        return _answers(lambda: api.log(name), word, f"the log of {name}", for_a_new_pod(check.within, patience), clock)


def exec_works(check: ExecWorks, api: ApiWitness, clock: Clock, patience: float) -> Found:
    word = secrets.token_hex(8)
    with _pod(api, check.node, ["sh", "-c", _WAIT]) as name:
        run = f"echo {word}"
        return _answers(
            lambda: api.run_in(check.node, name, run),
            word,
            f"echo in {name}",
            for_a_new_pod(check.within, patience),
            clock,
        )


def crictl_works(check: CrictlWorks, api: ApiWitness, shell: Shell, clock: Clock, patience: float) -> Found:
    found = "its container never ran"
    with _pod(api, check.node, ["sh", "-c", _WAIT]) as name:

        def listed() -> bool:
            nonlocal found
            ids = _containers(api.pods("default", name, None))
            if not ids:
                return False
            done = shell.run(["timeout", "10", "crictl", "ps", "-q", "--no-trunc"], check=False)
            found = (done.stderr.decode("utf-8", "replace").strip() or "its container is not listed")[-300:]
            return done.ok and set(ids) <= set(done.text.split())

        ok = wait_until(listed, for_a_new_pod(check.within, patience), clock, every=0.5)
    return ok, f"{name} is listed" if ok else f"{name}: {found}"


def object_is(check: ObjectIs, api: ApiWitness) -> Found:
    body = api.object_at(path_of(check.kind, check.name, check.namespace))
    if body is None:
        return False, f"there is no {check.kind} {check.name}"
    wrong = [f"{at} is {_at(body, at)!r}" for at, value in check.has.items() if _at(body, at) != value]
    wrong += [f"{at} is {_at(body, at)!r}" for at in check.lacks if _at(body, at) is not None]
    return not wrong, ", ".join(wrong)[:300] or "as expected"


def _at(body: object, at: str) -> object:
    """The value at a dotted place, None when there is none. A key with dots in it is written with them as `\\.`."""
    for word in at.replace("\\.", "\0").split("."):
        key = word.replace("\0", ".")
        if isinstance(body, dict):
            body = body.get(key)
        elif isinstance(body, list) and key.isdigit() and int(key) < len(body):
            body = body[int(key)]
        else:
            return None
    return body


def _containers(pods: Sequence[PodState]) -> list[str]:
    return [container for pod in pods for container in pod.containers]


@contextmanager
def _pod(api: ApiWitness, node: str, command: Sequence[str]) -> Iterator[str]:
    name = api.start_pod(node, command)
    try:
        yield name
    finally:
        api.delete_pod(name)


def _answers(ask: Callable[[], Answer], word: str, what: str, seconds: float, clock: Clock) -> Found:
    found = ""

    def right() -> bool:
        nonlocal found
        answer = ask()
        body = answer.body.get("message") if isinstance(answer.body, dict) else answer.body
        found = f"{answer.status}: {str(body).strip()[:300]}"
        return answer.status == 200 and word in str(answer.body)

    return wait_until(right, seconds, clock, every=0.5), f"{what}: {found}"

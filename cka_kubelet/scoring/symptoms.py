"""Whether a lab's symptom shows now, and how a learner's screen shows it."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from cka_kubelet.errors import NodeUnreachableError
from cka_kubelet.labspec.symptoms import ApiDownSymptom, CommandSymptom, NodeSymptom, PodSymptom, Symptom
from cka_kubelet.remote.shell import Shell
from cka_kubelet.scoring.podstate import PodState
from cka_kubelet.scoring.witness import ApiWitness

COMMAND_SECONDS = 20.0
ABSENT = "absent"
_API_SILENT = (
    r"connection to the server .* was refused",
    r"connect: connection refused",
    r"(?i)unable to connect to the server",
    r"TLS handshake timeout|i/o timeout|context deadline exceeded|Client\.Timeout exceeded",
    r"x509: |tls: ",
    r"apiserver not ready|Error from server",
)


@dataclass(frozen=True)
class Sight:
    """What is to be seen where the symptom should be. `healthy`: as if nothing had been broken; neither it nor `shows`
    holds while things change. `since`: when that began, seconds since the epoch, if the API server knows."""

    shows: bool
    healthy: bool
    subject: str
    state: str
    detail: str = ""
    since: float | None = None


def look(symptom: Symptom, api: ApiWitness, shell: Callable[[str], Shell]) -> Sight:
    """One look. Raises NodeUnreachableError, CommandError when that cannot be told."""
    match symptom:
        case NodeSymptom():
            return _node(symptom, api)
        case PodSymptom():
            return _pod(symptom, api)
        case CommandSymptom():
            return _command(symptom, shell(symptom.node))
        case ApiDownSymptom():
            return _api(symptom, api, shell(symptom.node))
        case _:
            assert_never(symptom)


def _node(symptom: NodeSymptom, api: ApiWitness) -> Sight:
    facts = api.snapshot().node(symptom.node)
    shows = facts.ready == symptom.ready and _matches(symptom.message, facts.message)
    detail = f"{facts.reason}: {facts.message}"
    return Sight(shows, facts.ready == "True", symptom.node, f"Ready={facts.ready}", detail, facts.since)


def _pod(symptom: PodSymptom, api: ApiWitness) -> Sight:
    subject = pod_subject(symptom)
    pods = api.pods(symptom.namespace, symptom.pod, symptom.selector)
    pods = [pod for pod in pods if not pod.over] or pods
    if not pods:
        return Sight(re.fullmatch(symptom.status, ABSENT) is not None, False, subject, ABSENT)
    said = _events(pods, api, symptom.namespace) if symptom.event else {}
    sights = [_one_pod(symptom, pod, said.get(pod.uid, ()), subject) for pod in pods]
    return max(sights, key=lambda sight: (sight.shows, not sight.healthy, sight.since or 0))


def _events(pods: Sequence[PodState], api: ApiWitness, namespace: str) -> Mapping[str, Sequence[str]]:
    names = {pod.uid for pod in pods}
    return {uid: texts for uid, texts in api.events(namespace).items() if uid in names}


def _one_pod(symptom: PodSymptom, pod: PodState, said: Sequence[str], subject: str) -> Sight:
    heard = [text for text in said if symptom.event is not None and re.search(symptom.event, text)]
    shows = not pod.ready and re.fullmatch(symptom.status, pod.status) is not None
    shows = shows and (symptom.event is None or bool(heard))
    return Sight(shows, pod.ready, subject, pod.status, heard[-1] if heard else pod.message, pod.since)


def _command(symptom: CommandSymptom, shell: Shell) -> Sight:
    argv = shlex.split(symptom.run)
    done = shell.run(["timeout", "-k", "2", f"{COMMAND_SECONDS:g}", *argv], timeout=COMMAND_SECONDS + 10, check=False)
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    match = re.search(symptom.fails, text, re.MULTILINE)
    lines = text.strip().splitlines() or [""]
    line = next((line for line in lines if re.search(symptom.fails, line)), lines[-1])
    shows = not done.ok and match is not None
    return Sight(shows, done.ok, symptom.run, "works" if done.ok else "fails", line[:300])


def _api(symptom: ApiDownSymptom, api: ApiWitness, shell: Shell) -> Sight:
    try:
        ready, found = api.ready()
    except NodeUnreachableError as err:
        shell.run(["true"])  # a node that is gone altogether says nothing about its API server
        ready, found = False, err.message
    shows = not ready and _matches(symptom.message, found)
    return Sight(shows, ready, "API server", "answers" if ready else "silent", found)


def pod_subject(symptom: PodSymptom) -> str:
    """How people call the pod: `web`, `kube-system/app=web`."""
    name = symptom.pod or symptom.selector or ""
    return name if symptom.namespace == "default" else f"{symptom.namespace}/{name}"


def described(symptom: Symptom) -> str:
    """What a learner should have seen, for people: completes "that …"."""
    match symptom:
        case NodeSymptom():
            return f"{symptom.node} is NotReady"
        case PodSymptom():
            return f"{pod_subject(symptom)} does not run as it should"
        case CommandSymptom():
            return f"`{symptom.run}` fails on {symptom.node}"
        case ApiDownSymptom():
            return "the API server does not answer"
        case _:
            assert_never(symptom)


def on_screen(symptom: Symptom) -> list[str]:
    """Patterns of lines that show the symptom to a learner, by whatever command."""
    match symptom:
        case NodeSymptom():
            message = [symptom.message] if symptom.message else []
            return [rf"\b{symptom.node}\s+NotReady", rf"^\s*Ready\s+{symptom.ready}\b", *message]
        case PodSymptom():
            return _pod_on_screen(symptom)
        case CommandSymptom():
            return [symptom.fails]
        case ApiDownSymptom():
            return [*_API_SILENT, *([symptom.message] if symptom.message else [])]
        case _:
            assert_never(symptom)


def _pod_on_screen(symptom: PodSymptom) -> list[str]:
    name = re.escape(symptom.pod) if symptom.pod else r"\S+"
    listed = rf"^\s*(\S+\s+)?{name}\s+\d+/\d+\s+({symptom.status})\b"
    waiting = rf"^\s*(Status|Reason|reason|phase):\s+({symptom.status})\b"
    gone = [rf'pods? "?{name}"? not found', "No resources found"] if re.fullmatch(symptom.status, ABSENT) else []
    said = [symptom.event.replace(": ", r"\b.*", 1)] if symptom.event else []  # kubectl puts a column between
    return [listed, waiting, r"\b0/\d+\s+\d+\s+\d+\s", *gone, *said]


def _matches(pattern: str | None, text: str) -> bool:
    return pattern is None or re.search(pattern, text) is not None

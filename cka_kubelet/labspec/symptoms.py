"""What may show that something is broken. `kind` says which; without it, a node's Ready condition is meant."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from cka_kubelet.labspec.parts import Line, Name, Part, Pattern, Seconds, Selector


class NodeSymptom(Part):
    """A node is NotReady. `Unknown`: heartbeats stop. `False`: the kubelet says why."""

    kind: Literal["node"] = "node"
    node: Name
    ready: Literal["False", "Unknown"]
    message: Pattern | None = None
    within: Seconds = 75


class PodSymptom(Part):
    """A pod, by name or selector, is not Ready. `status`: all of what kubectl's STATUS column then says, or `absent`
    when there is no such pod at all. `event`: within `Reason: message` of one of the pod's events."""

    kind: Literal["pod"]
    namespace: Name = "default"
    pod: Name | None = None
    selector: Selector | None = None
    status: Pattern
    event: Pattern | None = None
    within: Seconds = 60

    @model_validator(mode="after")
    def _names_a_pod(self) -> "PodSymptom":
        if (self.pod is None) == (self.selector is None):
            raise ValueError("say `pod:` or `selector:`, one of them")
        return self


class CommandSymptom(Part):
    """A command on a node fails, and what it prints matches `fails`. Run without a shell."""

    kind: Literal["crictl", "command"]
    node: Name = "controlplane"
    run: Line
    fails: Pattern
    within: Seconds = 60

    @model_validator(mode="after")
    def _asks_only(self) -> "CommandSymptom":
        program = "crictl" if self.kind == "crictl" else "kubectl"
        if not self.run.startswith(f"{program} "):
            raise ValueError(f"`run` of a {self.kind} symptom begins with `{program} `")
        return self


class ApiDownSymptom(Part):
    """The API server on `node` does not answer, or says that it is not ready. `message`: within what came of asking."""

    kind: Literal["api-down"]
    node: Name = "controlplane"
    message: Pattern | None = None
    within: Seconds = 60


def _kind_of_old(value: Any) -> Any:
    return {"kind": "node", **value} if isinstance(value, dict) else value


Symptom = Annotated[
    Annotated[NodeSymptom | PodSymptom | CommandSymptom | ApiDownSymptom, Field(discriminator="kind")],
    BeforeValidator(_kind_of_old),
]

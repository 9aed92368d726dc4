"""What a lab may have checked: in the healthy cluster, of the repair, and of what must last."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cka_kubelet.labspec.parts import AbsolutePath, Line, Name, Part, Seconds, Selector, UnitName
from cka_kubelet.labspec.workload import KINDS


class NodeReady(Part):
    """The API server says Ready=True and the node's lease is fresh."""

    check: Literal["node-ready"]
    node: Name
    within: Seconds = 30


class PodRuns(Part):
    """A new pod with a random name, bound to the node, comes to run there."""

    check: Literal["pod-runs"]
    node: Name
    within: Seconds = 45


class UnitIs(Part):
    """A systemd unit is active and, if said, enabled."""

    check: Literal["unit"]
    node: Name
    unit: UnitName
    active: bool | None = None
    enabled: bool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "UnitIs":
        if self.active is None and self.enabled is None:
            raise ValueError("say `active:`, `enabled:` or both")
        return self


class FileIs(Part):
    """A regular file, fetched over SFTP, holds and lacks these texts."""

    check: Literal["file"]
    node: Name
    path: AbsolutePath
    contains: list[Line] = Field(default_factory=list)
    lacks: list[Line] = Field(default_factory=list)


class Unchanged(Part):
    """Everything below these paths is as before the fault, apart from `except`: nothing else was broken on the way."""

    check: Literal["unchanged"]
    node: Name
    paths: Annotated[list[AbsolutePath], Field(min_length=1)]
    excluding: list[AbsolutePath] = Field(default_factory=list, alias="except")


class SurvivesReboot(Part):
    """After a real reboot the node comes back Ready by itself."""

    check: Literal["survives-reboot"]
    node: Name
    within: Seconds = 60


class ApiAnswers(Part):
    """The API server says that it is ready, and keeps what is written to it."""

    check: Literal["api-answers"]
    node: Name = "controlplane"
    within: Seconds = 60


class PodReady(Part):
    """At least `count` pods, by name or selector, and all that there are, are Ready, by their node's word too."""

    check: Literal["pod-ready"]
    node: Name
    namespace: Name = "default"
    pod: Name | None = None
    selector: Selector | None = None
    count: Annotated[int, Field(ge=1, le=50)] = 1
    within: Seconds = 60

    @model_validator(mode="after")
    def _names_a_pod(self) -> "PodReady":
        if (self.pod is None) == (self.selector is None):
            raise ValueError("say `pod:` or `selector:`, one of them")
        return self


class LogsWork(Part):
    """What a new pod on the node printed can be read through the API server."""

    check: Literal["logs-work"]
    node: Name
    within: Seconds = 45


class ExecWorks(Part):
    """A program can be run in a new pod on the node through the API server."""

    check: Literal["exec-works"]
    node: Name
    within: Seconds = 45


class CrictlWorks(Part):
    """crictl on the node lists a container that the API server knows to run there."""

    check: Literal["crictl-works"]
    node: Name
    within: Seconds = 45


class ObjectIs(Part):
    """The API server's object holds these values and lacks these keys: `spec.template.spec.containers.0.image`."""

    check: Literal["object"]
    node: Name = "controlplane"
    kind: Line
    name: Name
    namespace: Name = "default"
    has: dict[Line, bool | int | str] = Field(default_factory=dict)
    lacks: list[Line] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_known(self) -> "ObjectIs":
        if self.kind not in KINDS:
            raise ValueError(f"`kind` is none of {', '.join(KINDS)}")
        return self


Check = Annotated[
    NodeReady
    | ApiAnswers
    | PodRuns
    | PodReady
    | LogsWork
    | ExecWorks
    | CrictlWorks
    | ObjectIs
    | UnitIs
    | FileIs
    | Unchanged
    | SurvivesReboot,
    Field(discriminator="check"),
]

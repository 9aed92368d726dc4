"""What a lab may have checked: in the healthy cluster, of the repair, and of what must last."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cka_kubelet.labspec.parts import AbsolutePath, Line, Name, Part, Seconds, UnitName


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


Check = Annotated[
    ApiAnswers | NodeReady | PodRuns | UnitIs | FileIs | Unchanged | SurvivesReboot,
    Field(discriminator="check"),
]

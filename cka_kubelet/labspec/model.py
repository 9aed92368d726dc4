"""What a lab file may say. Plain data: loading one runs nothing.

Points: symptom 10, evidence 20, cause 25, repair 30, lasting 15; within a category every line weighs the same.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

CATEGORIES = {"symptom": 10, "evidence": 20, "cause": 25, "repair": 30, "lasting": 15}
"""Category → points. They add up to 100."""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as err:
        raise ValueError(f"not a regular expression: {err}") from None
    return text


Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Line = Annotated[str, Field(min_length=1, max_length=400)]
Pattern = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_pattern)]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00]*$", max_length=400)]
UnitName = Annotated[str, Field(pattern=r"^[A-Za-z0-9:_.@-]+\.(service|socket|timer|mount|target)$")]
Seconds = Annotated[int, Field(ge=1, le=900)]


class Part(BaseModel):
    """Base of everything in a lab file: unknown keys are errors, values are not guessed at."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class FaultUse(Part):
    """Which injector breaks which node."""

    use: Name
    on: Name
    parameters: dict[Name | Annotated[str, Field(pattern=r"^[a-z_]+$")], bool | int | str] = Field(
        default_factory=dict, alias="with"
    )


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


Check = Annotated[
    NodeReady | PodRuns | UnitIs | FileIs | Unchanged | SurvivesReboot,
    Field(discriminator="check"),
]


class Symptom(Part):
    """What must show before the lab is handed over. `Unknown`: heartbeats stop. `False`: the kubelet says why."""

    node: Name
    ready: Literal["False", "Unknown"]
    message: Pattern | None = None
    within: Seconds = 75


class Evidence(Part):
    """One thing a good diagnosis comes across. Any of the patterns is enough, in any order, by any command.

    `saw`: searched in lines of the learner's screen. `ran`: searched in command lines. `on`: only on that node.
    `before_repair`: counts only until the node is Ready again.
    """

    what: Line
    saw: list[Pattern] = Field(default_factory=list)
    ran: list[Pattern] = Field(default_factory=list)
    on: Name | None = None
    before_repair: bool = True

    @model_validator(mode="after")
    def _says_something(self) -> "Evidence":
        if not self.saw and not self.ran:
            raise ValueError("say `saw:`, `ran:` or both")
        return self


class Answer(Part):
    """One question about the cause. The first choice's place says nothing: choices are shown sorted."""

    question: Line
    choices: Annotated[list[Line], Field(min_length=3, max_length=10)]
    answer: Line

    @model_validator(mode="after")
    def _answerable(self) -> "Answer":
        if self.answer not in self.choices:
            raise ValueError("`answer` is not one of `choices`")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError("a choice occurs twice")
        return self


class Cause(Part):
    """What was wrong: the component that did not work, the file or unit to repair, and why."""

    component: Answer
    file: Answer
    reason: Answer


class Hint(Part):
    """One of the hints, in order of telling more. `price`: points taken."""

    text: Text
    price: Annotated[int, Field(ge=0, le=30)]


class Command(Part):
    """One command line typed at the prompt of a node."""

    on: Name
    run: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\n]+$")]


class Solution(Part):
    """An expert's way: look, then repair."""

    diagnose: Annotated[list[Command], Field(min_length=1)]
    repair: Annotated[list[Command], Field(min_length=1)]


class WrongRepair(Part):
    """What looks like a repair and must not pass."""

    why: Line
    repair: Annotated[list[Command], Field(min_length=1)]


class Lab(Part):
    """A whole lab file."""

    name: Name
    title: Line
    domain: Literal["troubleshooting", "cluster-architecture", "services-networking", "workloads", "storage"]
    tags: list[Name] = Field(default_factory=list)
    minutes: Annotated[list[Annotated[int, Field(ge=1, le=120)]], Field(min_length=2, max_length=2)]
    start_on: Name = "controlplane"
    brief: Text
    faults: Annotated[list[FaultUse], Field(min_length=1, max_length=8)]
    baseline: Annotated[list[Check], Field(min_length=1)]
    symptom: Symptom
    evidence: Annotated[list[Evidence], Field(min_length=1, max_length=12)]
    cause: Cause
    repair: Annotated[list[Check], Field(min_length=1)]
    lasting: Annotated[list[Check], Field(min_length=1)]
    hints: Annotated[list[Hint], Field(min_length=3, max_length=3)]
    solution: Solution
    wrong_repairs: Annotated[list[WrongRepair], Field(min_length=1)]
    debrief: Text

    @model_validator(mode="after")
    def _band(self) -> "Lab":
        if self.minutes[0] > self.minutes[1]:
            raise ValueError("`minutes` is [quick, slow], quick first")
        return self

    def on_one_node(self, node: str) -> "Lab":
        """The same lab where `node` is the control plane too: what it says of `controlplane` is meant of that node."""
        return Lab.model_validate(_renamed(self.model_dump(by_alias=True), "controlplane", node))


_NODE_KEYS = {"node", "on", "start_on"}


def _renamed(part: Any, old: str, new: str) -> Any:
    if isinstance(part, dict):
        return {
            key: new if key in _NODE_KEYS and value == old else _renamed(value, old, new) for key, value in part.items()
        }
    if isinstance(part, list):
        return [_renamed(value, old, new) for value in part]
    return part

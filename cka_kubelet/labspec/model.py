"""What a lab file may say. Plain data: loading one runs nothing.

Points: symptom 10, evidence 20, cause 25, repair 30, lasting 15; within a category every line weighs the same.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cka_kubelet.labspec.checks import Check
from cka_kubelet.labspec.parts import Line, Name, Part, Pattern, Text
from cka_kubelet.labspec.symptoms import Symptom
from cka_kubelet.labspec.workload import Manifest

CATEGORIES = {"symptom": 10, "evidence": 20, "cause": 25, "repair": 30, "lasting": 15}
"""Category → points. They add up to 100."""


class FaultUse(Part):
    """Which injector breaks which node."""

    use: Name
    on: Name
    parameters: dict[Name | Annotated[str, Field(pattern=r"^[a-z_]+$")], bool | int | str] = Field(
        default_factory=dict, alias="with"
    )


class Evidence(Part):
    """One thing a good diagnosis comes across. Any of the patterns is enough, in any order, by any command.

    `saw`: searched in lines of the learner's screen. `ran`: searched in command lines. `on`: only on that node.
    `before_repair`: counts only until the symptom is gone.
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


class OtherRepair(Part):
    """What is not the reference solution and as right: full points for repair and lasting."""

    what: Line
    repair: Annotated[list[Command], Field(min_length=1)]


class Lab(Part):
    """A whole lab file. `workload`: objects that are there before anything is checked; `arrives`: after the fault."""

    name: Name
    title: Line
    domain: Literal["troubleshooting", "cluster-architecture", "services-networking", "workloads", "storage"]
    tags: list[Name] = Field(default_factory=list)
    minutes: Annotated[list[Annotated[int, Field(ge=1, le=120)]], Field(min_length=2, max_length=2)]
    control_plane: Literal["unit", "static-pods"] = "unit"
    start_on: Name = "controlplane"
    brief: Text
    faults: Annotated[list[FaultUse], Field(min_length=1, max_length=8)]
    workload: list[Manifest] = Field(default_factory=list, max_length=10)
    arrives: list[Manifest] = Field(default_factory=list, max_length=10)
    baseline: Annotated[list[Check], Field(min_length=1)]
    symptom: Symptom
    evidence: Annotated[list[Evidence], Field(min_length=1, max_length=12)]
    cause: Cause
    repair: Annotated[list[Check], Field(min_length=1)]
    lasting: Annotated[list[Check], Field(min_length=1)]
    hints: Annotated[list[Hint], Field(min_length=3, max_length=3)]
    solution: Solution
    other_repairs: list[OtherRepair] = Field(default_factory=list, max_length=4)
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


_NODE_KEYS = {"node", "on", "start_on", "nodeName"}


def _renamed(part: Any, old: str, new: str) -> Any:
    if isinstance(part, dict):
        return {
            key: new if key in _NODE_KEYS and value == old else _renamed(value, old, new) for key, value in part.items()
        }
    if isinstance(part, list):
        return [_renamed(value, old, new) for value in part]
    return part

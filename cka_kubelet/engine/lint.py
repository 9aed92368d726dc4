"""What is wrong with a lab file without starting a node: the loader's mistakes, and what the loader cannot know."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cka_kubelet.errors import LabError, LabFileError
from cka_kubelet.faults import settle
from cka_kubelet.faults.loader import load as load_faults
from cka_kubelet.labspec.loader import LabFile, Place, load
from cka_kubelet.labspec.model import Command, Lab
from cka_kubelet.labspec.symptoms import PodSymptom
from cka_kubelet.providers.container import NODES
from cka_kubelet.scoring.grading import CAUSE_KEYS

_WORDS = re.compile(r"[a-z0-9]+")


@dataclass
class Findings:
    """Lines `file:line:column: message`; a lab with errors does not start, one with warnings teaches less."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def lint(path: Path, fault_folder: Path) -> Findings:
    """Everything that can be said about one file. Runs nothing that the file names, but for loading its faults."""
    try:
        file = load(path)
    except LabFileError as err:
        return Findings(errors=err.message.splitlines())
    found = Findings()
    found.errors += [file.error(place, message).message for place, message in _errors(file, fault_folder)]
    found.warnings += [file.error(place, message).message for place, message in _warnings(file.lab)]
    return found


def _errors(file: LabFile, fault_folder: Path) -> Iterator[tuple[Place, str]]:
    lab = file.lab
    if lab.name != file.path.stem:
        yield ("name",), f"the lab's name and its file's differ: {lab.name} and {file.path.name}"
    for index, use in enumerate(lab.faults):
        try:
            settle(load_faults([use.use], fault_folder)[use.use], use.parameters)
        except LabError as err:
            yield ("faults", index, "use"), f"{err.message} {err.hint}".strip()
    for place, node in _nodes(lab):
        if node not in NODES:
            yield place, f"there is no node {node!r} (there are {', '.join(NODES)})"


def _nodes(lab: Lab) -> Iterator[tuple[Place, str]]:
    yield ("start_on",), lab.start_on
    if not isinstance(lab.symptom, PodSymptom):
        yield ("symptom", "node"), lab.symptom.node
    for index, use in enumerate(lab.faults):
        yield ("faults", index, "on"), use.on
    for index, rule in enumerate(lab.evidence):
        if rule.on is not None:
            yield ("evidence", index, "on"), rule.on
    for name in ("baseline", "repair", "lasting"):
        for index, check in enumerate(getattr(lab, name)):
            yield (name, index, "node"), check.node
    for place, command in _commands(lab):
        yield (*place, "on"), command.on


def _commands(lab: Lab) -> Iterator[tuple[Place, Command]]:
    for part in ("diagnose", "repair"):
        for index, command in enumerate(getattr(lab.solution, part)):
            yield ("solution", part, index), command
    for key in ("other_repairs", "wrong_repairs"):
        for number, repair in enumerate(getattr(lab, key)):
            for index, command in enumerate(repair.repair):
                yield (key, number, "repair", index), command


def _warnings(lab: Lab) -> Iterator[tuple[Place, str]]:
    told = {key: getattr(lab.cause, key).answer for key in ("file", "reason")}
    for place, text in ((("title",), lab.title), (("brief",), lab.brief), (("hints", 0, "text"), lab.hints[0].text)):
        for key, answer in told.items():
            if answer.lower() in text.lower():
                yield place, f"this names the answer to cause.{key}: {answer!r}"
    for index, use in enumerate(lab.faults):
        shared = set(_WORDS.findall(use.use)) & (set(_WORDS.findall(lab.name)) - {"kubelet"})
        if shared:
            yield ("name",), f"the name shares {', '.join(sorted(shared))} with fault {index + 1}, {use.use}"
    for key in CAUSE_KEYS:
        choices = len(getattr(lab.cause, key).choices)
        if choices < 4:
            yield ("cause", key, "choices"), f"{choices} choices are easily guessed; give at least 4"
    prices = [hint.price for hint in lab.hints]
    if prices != sorted(prices):
        yield ("hints",), "a later hint tells more, so it should not cost less"
    if not any(check.check == "unchanged" for check in lab.lasting):
        yield ("lasting",), "nothing here notices that a repair broke something else (check: unchanged)"

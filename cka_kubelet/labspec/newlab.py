"""A new lab file from one that is known to work: the same fault, another name, title and particulars."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cka_kubelet.errors import UsageError
from cka_kubelet.labspec.loader import LabFile

_HEAD = "# labs/README.md tells what each key means, `cka-kubelet labs lint` mistakes, and `labs test` proves the lab."
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_BLOCK = r"^{key}:.*\n(?:(?:[ \t].*)?\n)*?(?=^\S)"


@dataclass(frozen=True)
class Wishes:
    """What the author of a new lab chose. `parameters`: what the fault is given under `with:`."""

    name: str
    title: str
    fault: str
    node: str
    parameters: Mapping[str, bool | int | str]


def check_name(name: str) -> str:
    """The name, when a lab may have it. Raises UsageError."""
    if not _NAME.fullmatch(name) or len(name) > 63:
        raise UsageError(
            f"{name!r} is no name for a lab", "Lower case letters, digits and single hyphens, as in `notready-mine`."
        )
    return name


def pattern(files: Iterable[LabFile], fault: str) -> LabFile | None:
    """The lab to begin with: the first that uses this fault and no other."""
    return next((file for file in files if [use.use for use in file.lab.faults] == [fault]), None)


def written(text: str, wishes: Wishes) -> str:
    """The text of the new lab. `text`: the pattern's, whose comments, order and layout stay."""
    uses = [f"  - use: {wishes.fault}", f"    on: {wishes.node}"]
    if wishes.parameters:
        uses += ["    with:", *(f"      {key}: {json.dumps(value)}" for key, value in wishes.parameters.items())]
    text = re.sub(r"\A(?:#.*\n)*", f"{_HEAD}\n", text)
    text = _replaced(text, "name", f"name: {wishes.name}\n")
    text = _replaced(text, "title", f"title: {json.dumps(wishes.title, ensure_ascii=False)}\n")
    return _replaced(text, "faults", "\n".join(["faults:", *uses]) + "\n\n")


def _replaced(text: str, key: str, block: str) -> str:
    return re.sub(_BLOCK.format(key=key), lambda _: block, text, count=1, flags=re.MULTILINE)


def parameter(word: str) -> tuple[str, bool | int | str]:
    """`key=value` from a command line; true, false and whole numbers are what they look like. Raises UsageError."""
    key, equals, value = word.partition("=")
    if not key or not equals:
        raise UsageError(f"{word!r} is no parameter", "Say it as `--with key=value`.")
    if value in ("true", "false"):
        return key, value == "true"
    return key, int(value) if re.fullmatch(r"-?\d+", value) else value

"""Reading a lab file: every mistake at once, each as `file:line:column: message`, and nothing in it is ever run."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cka_kubelet.errors import LabFileError
from cka_kubelet.labspec.model import Lab
from cka_kubelet.labspec.parts import Part

MAX_BYTES = 256 * 1024
MAX_NODES = 5_000
MAX_DEPTH = 20
MAX_ERRORS = 20
Place = tuple[str | int, ...]
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "bool", "null", "float")}


@dataclass(frozen=True)
class LabFile:
    """A lab and where each of its parts stands. `marks`: place in the document → (line, column), both from 1."""

    lab: Lab
    path: Path
    marks: Mapping[Place, tuple[int, int]]

    def error(self, place: Place, message: str) -> LabFileError:
        """An error at that part of the file, for what only others can check (does the fault exist?)."""
        line, column = _nearest(self.marks, place)
        return LabFileError(f"{self.path}:{line}:{column}: {message}")


class _Problems(Exception):
    def __init__(self, *lines: tuple[int, int, str]) -> None:
        super().__init__()
        self.lines = lines


def load(path: Path) -> LabFile:
    """The lab in a file. Raises LabFileError with one line per mistake, sorted by place."""
    try:
        text = _text(path)
        data, marks = _plain(text)
        return LabFile(_validated(data, marks), path, marks)
    except _Problems as err:
        lines = sorted(set(err.lines))
        shown = [f"{path}:{line}:{column}: {message}" for line, column, message in lines[:MAX_ERRORS]]
        more = len(lines) - len(shown)
        raise LabFileError("\n".join([*shown, *([f"… and {more} more"] if more else [])])) from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as err:
        raise LabFileError(f"{path}: cannot be read: {err.strerror or err}") from None
    if len(raw) > MAX_BYTES:
        raise _Problems((1, 1, f"the file is larger than {MAX_BYTES // 1024} KiB"))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as err:
        line = raw[: err.start].count(b"\n") + 1
        raise _Problems((line, 1, "this is not UTF-8 text")) from None


def _plain(text: str) -> tuple[Any, dict[Place, tuple[int, int]]]:
    """The document as plain Python data, and the place of everything in it."""
    try:
        _reject_bombs(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _Problems((*place, f"not valid YAML: {err.problem or err.context}")) from None
    except yaml.YAMLError as err:
        raise _Problems((1, 1, f"not valid YAML: {str(err).splitlines()[0]}")) from None
    if node is None:
        raise _Problems((1, 1, "the file is empty"))
    marks: dict[Place, tuple[int, int]] = {}
    problems: list[tuple[int, int, str]] = []
    data = _value(node, (), marks, problems)
    if problems:
        raise _Problems(*problems)
    return data, marks


def _reject_bombs(text: str) -> None:
    """Aliases are refused, and depth and size are limited, before anything recursive looks at the document."""
    depth = count = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.AliasEvent):
            raise _Problems((*place, "aliases (*name) are not allowed in lab files"))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        count += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise _Problems((*place, "the document is nested too deep or has too many parts"))


def _value(
    node: yaml.Node, place: Place, marks: dict[Place, tuple[int, int]], problems: list[tuple[int, int, str]]
) -> Any:
    at = (node.start_mark.line + 1, node.start_mark.column + 1)
    marks.setdefault(place, at)
    if node.tag not in _PLAIN_TAGS:
        problems.append((*at, f"{node.tag.removeprefix('tag:yaml.org,2002:')} is not a type that lab files know"))
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*place, index), marks, problems) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return dict(_items(node, place, marks, problems))
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError):
        problems.append((*at, f"{node.value!r} is not a value"))
        return None


def _items(
    node: yaml.MappingNode, place: Place, marks: dict[Place, tuple[int, int]], problems: list[tuple[int, int, str]]
) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for key, value in node.value:
        at = (key.start_mark.line + 1, key.start_mark.column + 1)
        if not isinstance(key, yaml.ScalarNode):
            problems.append((*at, "a key must be a word"))
            continue
        name = str(key.value)
        if name in seen:
            problems.append((*at, f"the key {name!r} occurs twice"))
        seen.add(name)
        marks[(*place, name)] = at
        yield name, _value(value, (*place, name), marks, problems)


def _validated(data: Any, marks: Mapping[Place, tuple[int, int]]) -> Lab:
    if not isinstance(data, dict):
        raise _Problems((1, 1, "a lab file is a mapping of keys to values"))
    try:
        return Lab.model_validate(data)
    except ValidationError as err:
        found = []
        for problem in err.errors(include_url=False, include_context=True):
            place = _in_document(problem["loc"], data)
            found.append((*_nearest(marks, place), _worded(problem, place)))
        raise _Problems(*found) from None


def _in_document(loc: Sequence[str | int], data: Any) -> Place:
    """pydantic's location without the names of union members, which are no keys of the document."""
    place: list[str | int] = []
    here = data
    after_tag = False
    for index, part in enumerate(loc):
        if not after_tag and _is_tag(part, here, place) and index < len(loc) - 1:
            after_tag = True
            continue
        after_tag = False
        try:
            here = here[part]
        except (LookupError, TypeError):
            if index < len(loc) - 1 or not isinstance(here, dict):
                continue
        place.append(part)
    return tuple(place)


def _is_tag(part: str | int, here: Any, place: Sequence[str | int]) -> bool:
    if not isinstance(here, dict):
        return False
    return part == here.get("check") or (list(place) == ["symptom"] and part == here.get("kind", "node"))


def _worded(problem: Mapping[str, Any], place: Place) -> str:
    name = ".".join(str(part) for part in place) or "the lab"
    kind = problem["type"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]), _keys(), 1)
        return f"unknown key {str(place[-1])!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    if kind == "missing":
        return f"the key {str(place[-1])!r} is missing"
    if kind == "literal_error":
        return f"{name}: must be {problem['ctx']['expected']}, not {str(problem['input'])[:60]!r}"
    if kind == "union_tag_invalid":
        near = difflib.get_close_matches(problem["ctx"]["tag"], _tags(problem), 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {problem['ctx']['expected_tags']}"
        return f"{name}: unknown {_tag_key(place)} {problem['ctx']['tag']!r}{hint}"
    if kind == "union_tag_not_found":
        return f"{name}: the key '{_tag_key(place)}' is missing"
    return f"{name}: {problem['msg'].removeprefix('Value error, ')}"


def _tags(problem: Mapping[str, Any]) -> list[str]:
    return [tag.strip(" '") for tag in problem["ctx"]["expected_tags"].split(",")]


def _tag_key(place: Place) -> str:
    return "kind" if place == ("symptom",) else "check"


def _keys() -> set[str]:
    """Every key that a lab file knows."""
    parts = Part.__subclasses__()
    return {field.alias or name for part in parts for name, field in part.model_fields.items()}


def _nearest(marks: Mapping[Place, tuple[int, int]], place: Place) -> tuple[int, int]:
    for end in range(len(place), -1, -1):
        if place[:end] in marks:
            return marks[place[:end]]
    return 1, 1

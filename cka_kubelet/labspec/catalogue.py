"""Where labs are: in the installed package, beside a checkout, in the user's own folder; or any path one names."""

import difflib
import json
from importlib import resources
from pathlib import Path
from typing import Any

from cka_kubelet import paths
from cka_kubelet.errors import LabFileError, UsageError
from cka_kubelet.labspec.loader import LabFile, load
from cka_kubelet.labspec.model import Lab

SUFFIXES = (".yaml", ".yml")


def folders() -> list[Path]:
    """The folders that are searched, first found wins."""
    package = Path(str(resources.files("cka_kubelet")))
    return [package / "labs", package.parent / "labs", paths.data_dir() / "labs"]


def files() -> dict[str, Path]:
    """Lab name → file. A lab's name is its file's name, so nothing is read to list them."""
    found: dict[str, Path] = {}
    for folder in folders():
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.suffix in SUFFIXES and path.is_file():
                    found.setdefault(path.stem, path)
    return dict(sorted(found.items(), key=lambda item: _by_number(item[0])))


def _by_number(name: str) -> tuple[str, int]:
    family, _, number = name.rpartition("-")
    return (family, int(number)) if number.isdecimal() else (name, 0)


def find(name: str) -> LabFile:
    """The lab of that name, or in that file. Raises UsageError when there is none, LabFileError when it is broken."""
    if "/" in name or name.endswith(SUFFIXES):
        return _named_as_its_file(load(Path(name)))
    known = files()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise UsageError(
            f"there is no lab called {name!r}",
            f"Did you mean {near[0]}?" if near else "`cka-kubelet labs` lists them; a path to a lab file works too.",
        )
    return _named_as_its_file(load(known[name]))


def every() -> list[LabFile]:
    """All labs, loaded. Raises LabFileError for the first broken one."""
    return [find(name) for name in files()]


def schema() -> dict[str, Any]:
    """JSON Schema of a lab file, for editors."""
    return Lab.model_json_schema(by_alias=True)


def schema_text() -> str:
    """The schema as it is written to a file."""
    return json.dumps(schema(), indent=2, sort_keys=True) + "\n"


def _named_as_its_file(found: LabFile) -> LabFile:
    if found.lab.name != found.path.stem:
        raise found.error(("name",), f"the lab's name and its file's differ: {found.lab.name} and {found.path.name}")
    return found


__all__ = ["LabFile", "LabFileError", "every", "files", "find", "folders", "schema", "schema_text"]

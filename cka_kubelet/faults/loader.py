"""Finding injectors: installed plug-ins (entry points), then the built-in package, then the user's own folder."""

import difflib
import importlib
import importlib.util
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from types import ModuleType

from cka_kubelet.errors import UsageError
from cka_kubelet.faults.api import Fault

GROUP = "cka_kubelet.fault_injectors"
BUILTIN = "fault_injectors"


def load(names: Iterable[str], folder: Path | None = None) -> dict[str, Fault]:
    """The named faults. `folder`: the user's own `*.py`, run only when a name is found nowhere else.

    Raises UsageError for an unknown name, with the nearest known one, and for an injector that cannot be imported.
    """
    wanted = set(names)
    known = available()
    if folder is not None and wanted - known.keys():
        known = {**_from_folder(folder), **known}
    for name in sorted(wanted - known.keys()):
        near = difflib.get_close_matches(name, known, 1)
        raise UsageError(
            f"there is no fault called {name!r}",
            f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(sorted(known))}.",
        )
    return {name: known[name] for name in sorted(wanted)}


def available() -> dict[str, Fault]:
    """Every installed fault by name; the built-in ones win over plug-ins of the same name."""
    found: dict[str, Fault] = {}
    for entry in metadata.entry_points(group=GROUP):
        if entry.value != BUILTIN:
            try:
                module = entry.load()
            except Exception as err:
                raise UsageError(f"fault injector {entry.name} ({entry.value}) cannot be loaded: {err!r}") from err
            found.update(_faults(module))
    found.update(_faults(importlib.import_module(BUILTIN)))
    return found


def _faults(module: ModuleType) -> dict[str, Fault]:
    faults: Iterable[Fault] = getattr(module, "FAULTS", ())
    return {fault.name: fault for fault in faults}


def _from_folder(folder: Path) -> dict[str, Fault]:
    found: dict[str, Fault] = {}
    for file in sorted(folder.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"_user_faults_{file.stem}", file)
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as err:
            raise UsageError(f"{file}: cannot be loaded: {err!r}", "Mend it or move it out of that folder.") from err
        found.update(_faults(module))
    return found

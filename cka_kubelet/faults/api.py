"""What a fault injector is. Re-exported by `cka_kubelet.faults`, the only module that injectors import."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol, TypeAlias

from cka_kubelet.errors import UsageError
from cka_kubelet.remote import steps
from cka_kubelet.remote.objects import Object, ObjectStep

Step: TypeAlias = steps.Step | ObjectStep
Value = str | int | bool


@dataclass(frozen=True)
class Parameter:
    """One thing a lab may choose about a fault, under `with:`. The default's type is the parameter's type.

    `choices`: the only values allowed; empty for any.
    """

    name: str
    default: Value
    help: str
    choices: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Context:
    """What a fault may know while it decides on its steps. It can read nodes, never change them.

    `node` is where the fault goes; `control_plane` the node that holds the cluster's CA; `random` is seeded by the
    run: the same seed gives the same fault. `read(node, path)` gives a regular file's bytes and follows no link;
    `link(node, path)` a symbolic link's target; `files(node, directory)` the paths
    of all that lies below it, sorted. `object(path)` gives what the API server keeps there, None when there is nothing.
    `now`: seconds since the epoch.
    """

    node: str
    control_plane: str
    parameters: Mapping[str, Value]
    read: Callable[[str, str], bytes]
    link: Callable[[str, str], str]
    files: Callable[[str, str], Sequence[str]]
    object: Callable[[str], Object | None] = lambda path: None
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - variety, not secrecy
    now: float = 0.0

    def text(self, path: str) -> str:
        """A file of the fault's node as UTF-8 text."""
        return self.read(self.node, path).decode("utf-8", "replace")


class Fault(Protocol):
    """A way to break a node. Undo is not its business: it is derived from what the steps touch."""

    @property
    def name(self) -> str:
        """What labs say under `use:`; lower case, words joined by hyphens."""
        ...

    @property
    def parameters(self) -> Sequence[Parameter]:
        """What labs may say under `with:`."""
        ...

    def steps(self, context: Context) -> Sequence[Step]:
        """What to do, in order. May read the node; changes nothing."""
        ...


def settle(fault: Fault, given: Mapping[str, Value]) -> dict[str, Value]:
    """The fault's parameters with defaults filled in. Raises UsageError for an unknown name, type or value."""
    known = {parameter.name: parameter for parameter in fault.parameters}
    for name, value in given.items():
        if name not in known:
            names = ", ".join(known) or "none"
            raise UsageError(f"fault {fault.name} has no parameter {name!r} (it has: {names})")
        parameter = known[name]
        if type(value) is not type(parameter.default):
            wanted = type(parameter.default).__name__
            raise UsageError(f"fault {fault.name}: {name} must be of type {wanted}, not {type(value).__name__}")
        if parameter.choices and value not in parameter.choices:
            raise UsageError(f"fault {fault.name}: {name} must be one of {', '.join(map(str, parameter.choices))}")
    return {name: given.get(name, parameter.default) for name, parameter in known.items()}

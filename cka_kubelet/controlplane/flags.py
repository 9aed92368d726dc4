"""What a command line says: the values of its flags, else their defaults."""

from collections.abc import Mapping
from typing import Any

from cka_kubelet.kube.flagvalues import PARSERS
from cka_kubelet.kube.gofmt import parse_duration
from cka_kubelet.kube.pflag import Flag, ParsedFlags


class Settings:
    """Values by flag name, as the kind of the flag has them. A name that is no flag of the program is a KeyError."""

    def __init__(
        self, parsed: ParsedFlags, flags: Mapping[str, Flag], instead: Mapping[str, str] | None = None
    ) -> None:
        self._given = parsed.values
        self._flags = flags
        self._instead = dict(instead or {})

    def given(self, name: str) -> bool:
        """Whether the flag stands on the command line."""
        return name in self._given

    def default(self, name: str, value: str, *, over: bool = False) -> None:
        """Another default; with `over` it goes before what the command line says, too."""
        self._instead[name] = value
        if over:
            self._given = {key: given for key, given in self._given.items() if key != name}

    def has(self, name: str) -> bool:
        """Whether the program has such a flag."""
        return name in self._flags

    def value(self, name: str) -> Any:
        """The value as parsed; None without one and without default."""
        if name in self._given:
            return self._given[name]
        default = self._instead.get(name, self._flags[name].default)
        return PARSERS[self._flags[name].kind](default) if default else None

    def text(self, name: str) -> str:
        """A string, IP address or the like."""
        return str(self.value(name) or "")

    def words(self, name: str) -> list[str]:
        """A list."""
        return list(self.value(name) or [])

    def on(self, name: str) -> bool:
        """A switch."""
        return bool(self.value(name))

    def number(self, name: str) -> int:
        """An integer."""
        return int(self.value(name) or 0)

    def seconds(self, name: str) -> float:
        """A duration in seconds."""
        return parse_duration(self.text(name) or "0s")

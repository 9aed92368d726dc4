"""Command lines parsed as Go's pflag does, with its error texts."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cka_kubelet.kube import klog
from cka_kubelet.kube.flagvalues import OPTIONAL_VALUE, PARSERS
from cka_kubelet.kube.gofmt import quote

SHORTHANDS = {"h": "help", "v": "v"}


class Flag(NamedTuple):
    """One flag. `field`: what it sets in the program's configuration, "" for none; `deprecated`: why, "" when not.

    `default`: as text, of a flag without a field. Kinds are those of flagvalues.
    """

    name: str
    kind: str
    field: str = ""
    deprecated: str = ""
    default: str = ""


class FlagError(Exception):
    """The command line is wrong. str() is pflag's or upstream's message."""


class ParsedFlags(NamedTuple):
    """Values by flag name, only of flags that were given, and the words that are no flags."""

    values: dict[str, Any]
    positional: list[str]

    def text(self, name: str, default: str = "") -> str:
        """A string flag's value."""
        return str(self.values.get(name, default))


class _Parser:
    def __init__(self, args: list[str], flags: Mapping[str, Flag]) -> None:
        self._args = list(args)
        self._flags = flags
        self.values: dict[str, Any] = {}
        self.positional: list[str] = []

    def run(self) -> None:
        while self._args:
            word = self._args.pop(0)
            if len(word) < 2 or word[0] != "-":
                self.positional.append(word)
            elif word == "--":
                self.positional += self._args
                return
            elif word.startswith("--"):
                self._long(word)
            else:
                self._short(word)

    def _long(self, word: str) -> None:
        name, equals, value = word[2:].partition("=")
        if not name or name[0] in "-=":
            raise FlagError(f"bad flag syntax: {word}")
        flag = self._flags.get(name.replace("_", "-"))
        if flag is None:
            raise FlagError(f"unknown flag: --{name}")
        if not equals:
            if flag.kind in OPTIONAL_VALUE:
                value = OPTIONAL_VALUE[flag.kind]
            elif self._args:
                value = self._args.pop(0)
            else:
                raise FlagError(f"flag needs an argument: --{name}")
        self._set(flag, value)

    def _short(self, word: str) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            name = SHORTHANDS.get(letter)
            if name is None:
                raise FlagError(f"unknown shorthand flag: {_go_char(letter)} in {word}")
            flag = self._flags[name]
            if letters.startswith("="):
                value, letters = letters[1:], ""
            elif flag.kind in OPTIONAL_VALUE:
                value = OPTIONAL_VALUE[flag.kind]
            elif letters:
                value, letters = letters, ""
            elif self._args:
                value = self._args.pop(0)
            else:
                raise FlagError(f"flag needs an argument: {_go_char(letter)} in {word}")
            self._set(flag, value)

    def _set(self, flag: Flag, text: str) -> None:
        try:
            value = PARSERS[flag.kind](text)
        except ValueError as error:
            label = f"-{flag.name}, --{flag.name}" if flag.name in SHORTHANDS else f"--{flag.name}"
            raise FlagError(f"invalid argument {quote(text)} for {quote(label)} flag: {error}") from error
        before = self.values.get(flag.name)
        if isinstance(value, list) and isinstance(before, list):
            value = before + value
        elif isinstance(value, dict) and isinstance(before, dict):
            value = {**before, **value}
        self.values[flag.name] = value
        if flag.deprecated:
            klog.plain(f"Flag --{flag.name} has been deprecated, {flag.deprecated}")


def _go_char(char: str) -> str:
    return f"'{char}'"


def parse(args: list[str], flags: Mapping[str, Flag]) -> ParsedFlags:
    """Parse the words after the program's name; prints a line for each deprecated flag. Raises FlagError."""
    parser = _Parser(args, flags)
    parser.run()
    return ParsedFlags(parser.values, parser.positional)

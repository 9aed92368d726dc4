"""The command line, parsed as pflag does, and checked as upstream's ValidateKubeletFlags does."""

import re
from typing import Any, NamedTuple

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kubelet.flagtable import FLAGS, SHORTHANDS, Flag
from cka_kubelet.kubelet.flagvalues import OPTIONAL_VALUE, PARSERS

_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_LABEL_NAME = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_ALLOWED = (
    "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type", "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch", "kubernetes.io/hostname", "kubernetes.io/os", "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
)  # fmt: skip
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


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
    def __init__(self, args: list[str]) -> None:
        self._args = list(args)
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
        flag = FLAGS.get(name.replace("_", "-"))
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
            flag = FLAGS[name]
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


def parse(args: list[str]) -> ParsedFlags:
    """Parse the words after the program's name; prints a line for each deprecated flag. Raises FlagError."""
    parser = _Parser(args)
    parser.run()
    return ParsedFlags(parser.values, parser.positional)


def _is_kubernetes(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    return any(domain == name or domain.endswith("." + name) for name in ("kubernetes.io", "k8s.io"))


def _is_kubelet_label(key: str) -> bool:
    domain = key.partition("/")[0]
    return key in _ALLOWED or any(domain == prefix or domain.endswith("." + prefix) for prefix in _PREFIXES)


def validate(flags: ParsedFlags) -> None:
    """Upstream's checks of flags that are no configuration fields: node labels. Raises FlagError."""
    labels: dict[str, str] = flags.values.get("node-labels") or {}
    unknown = sorted(key for key in labels if _is_kubernetes(key) and not _is_kubelet_label(key))
    if unknown:
        raise FlagError(
            f"unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [{' '.join(unknown)}]\n"
            "--node-labels in the 'kubernetes.io' namespace must begin with an allowed prefix "
            f"({', '.join(_PREFIXES)}) or be in the specifically allowed set ({', '.join(_ALLOWED)})"
        )
    wrong = []
    for key, value in labels.items():
        if not _LABEL_NAME.match(key.rpartition("/")[2]):
            wrong.append(f"'{key}' - {_NAME_RULE}")
        if not _LABEL_VALUE.match(value):
            wrong.append(f"'{value}' - {_VALUE_RULE}")
        elif len(value) > 63:
            wrong.append(f"'{value}' - must be no more than 63 bytes")
    if wrong:
        raise FlagError(f"invalid node labels: {'; '.join(wrong)}")

"""Command lines as urfave/cli v2 on Go's flag package reads them, and the help texts it prints."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cka_kubelet.kube.gofmt import format_duration, parse_duration, quote
from cka_kubelet.kube.tabwriter import tabulate

_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
HELP_COMMAND = ("help, h", "Shows a list of commands or help for one command")


class FlagError(Exception):
    """The command line is wrong; the text is urfave/cli's."""


@dataclass(frozen=True)
class Flag:
    """One flag. `kind` is bool, string, int, duration (seconds) or list; `names[0]` is its key among the values."""

    names: tuple[str, ...]
    kind: str
    usage: str
    default: Any = None
    env: str = ""

    @property
    def initial(self) -> Any:
        empty: dict[str, Any] = {"bool": False, "string": "", "int": 0, "duration": 0.0, "list": ()}
        return empty[self.kind] if self.default is None else self.default

    def parse(self, name: str, text: str) -> Any:
        """A value from the command line or the environment. Raises FlagError."""
        if self.kind == "bool":
            if text in _TRUE or text in _FALSE:
                return text in _TRUE
            raise FlagError(f"invalid boolean value {quote(text)} for -{name}: parse error")
        try:
            if self.kind == "int":
                return int(text, 0)
            if self.kind == "duration":
                return parse_duration(text)
        except ValueError:
            raise FlagError(f"invalid value {quote(text)} for flag -{name}: parse error") from None
        return text

    @property
    def help(self) -> tuple[str, str]:
        """The two columns of the flag's help line."""
        usage, value = self.usage, "value"
        if usage.count("`") >= 2:
            before, value, after = usage.split("`", 2)
            usage = before + value + after
        named = [f"{'-' * min(2, len(n))}{n}" + ("" if self.kind == "bool" else f" {value}") for n in self.names]
        left = ", ".join(named)
        if self.kind == "list":
            left = f"{left} [ {left} ]"
        return left, (usage + self._default_text() + (f" [${self.env}]" if self.env else "")).replace("\n", "\n      ")

    def _default_text(self) -> str:
        if self.kind == "list" or (self.kind == "string" and not self.initial):
            return ""
        if self.kind == "duration":
            return f" (default: {format_duration(self.initial)})"
        return f" (default: {quote(self.initial) if self.kind == 'string' else str(self.initial).lower()})"


@dataclass(frozen=True)
class Command:
    """One command. `run` is `module:function`, imported when it is called; `short` lets -it mean -i -t."""

    name: str
    usage: str
    run: str
    flags: tuple[Flag, ...] = ()
    args: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()
    short: bool = True
    subcommands: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


@dataclass
class Parsed:
    """A command line's outcome. `given` are the flags set by the user (or the environment)."""

    values: dict[str, Any]
    given: set[str]
    args: list[str]
    help: bool = False


def parse(flags: Sequence[Flag], argv: Sequence[str], *, short: bool, environment: dict[str, str]) -> Parsed:
    """Read flags up to the first word that is none, or `--`. Raises FlagError."""
    by_name = {name: flag for flag in flags for name in flag.names}
    parsed = Parsed({flag.names[0]: flag.initial for flag in flags}, set(), [])
    for flag in flags:
        if flag.env and environment.get(flag.env):
            _set(parsed, flag, flag.names[0], environment[flag.env])
    words = list(argv)
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word == "--":
            break
        name, has_value, value = word.removeprefix("-").removeprefix("-").partition("=")
        if name in ("help", "h") and name not in by_name:
            parsed.help = True
            return parsed
        found = by_name.get(name)
        if found is None and short and not word.startswith("--") and _splits(name, by_name):
            words = [*(f"-{letter}" for letter in name[:-1]), f"-{name[-1]}{has_value}{value}", *words]
        elif found is None:
            raise FlagError(f"flag provided but not defined: -{name}")
        elif found.kind == "bool":
            _set(parsed, found, name, value if has_value else "true")
        elif has_value or words:
            _set(parsed, found, name, value if has_value else words.pop(0))
        else:
            raise FlagError(f"flag needs an argument: -{name}")
    parsed.args = words
    return parsed


def _splits(name: str, by_name: dict[str, Flag]) -> bool:
    return len(name) > 1 and all(letter in by_name or letter == "h" for letter in name)


def _set(parsed: Parsed, flag: Flag, name: str, text: str) -> None:
    key = flag.names[0]
    value = flag.parse(name, text)
    if flag.kind == "list":
        parsed.values[key] = (*(parsed.values[key] if key in parsed.given else ()), *text.split(","))
    else:
        parsed.values[key] = value
    parsed.given.add(key)


def _flag_table(flags: Sequence[Flag], *last: tuple[str, str]) -> str:
    rows: list[list[str]] = []
    for left, right in (*(flag.help for flag in flags), ("--help, -h", "show help"), *last):
        first, *rest = right.split("\n")
        rows.append([f"   {left}", first])
        rows += [[line] for line in rest]
    return tabulate(rows, minimum=1, padding=2)


def _command_list(entries: Sequence[tuple[str, str]]) -> str:
    width = max(len(names) for names, _ in entries) + 2
    return "".join(f"   {names:<{width}}{usage}\n" for names, usage in entries)


def command_help(command: Command, *, as_subcommand: bool) -> str:
    """The help of one command; `as_subcommand` is the form shown after a wrong command line, which lists `help` too."""
    text = f"NAME:\n   crictl {command.name} - {command.usage}\n\nUSAGE:\n   crictl {command.name} [command options]"
    text += f" {command.args}\n" if command.args else "\n"
    if command.description:
        text += "\nDESCRIPTION:\n" + "".join(f"   {line}\n" for line in command.description.split("\n"))
    if command.subcommands or as_subcommand:
        text += "\nCOMMANDS:\n" + _command_list([*command.subcommands, HELP_COMMAND])
    return text + "\nOPTIONS:\n" + _flag_table(sorted(command.flags, key=lambda flag: flag.names[0]))


def app_help(commands: Sequence[Command], flags: Sequence[Flag], version: str) -> str:
    """The help of crictl itself."""
    entries = [(", ".join(command.names), command.usage) for command in commands]
    table = _flag_table(flags, ("--version, -v", "print the version"))
    return (
        "NAME:\n   crictl - client for CRI\n\nUSAGE:\n   crictl [global options] command [command options]\n\n"
        f"VERSION:\n   {version}\n\nCOMMANDS:\n{_command_list([*entries, HELP_COMMAND])}\nGLOBAL OPTIONS:\n{table}"
    )

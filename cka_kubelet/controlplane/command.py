"""A control plane program's command: from argv to a running program, or to what says why not (component-base/cli)."""

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.controlplane.flagtable import Sections
from cka_kubelet.kube import klog
from cka_kubelet.kube.pflag import Flag, FlagError, ParsedFlags, parse
from cka_kubelet.kube.process import set_process_name

VERSION = "v1.36.2+cka"


class StartError(Exception):
    """The program cannot start or go on; str() is what follows `"command failed" err=`."""


class Exit(Exception):  # not an error: whoever raises it has said why
    """End with this status; all has been said."""

    def __init__(self, status: int) -> None:
        super().__init__(f"exit status {status}")
        self.status = status


class Program(NamedTuple):
    """A program. `run` raises StartError or Exit. `usage`: whether a wrong flag shows all of them, as cobra does.

    `defaults`: of flags whose default differs from upstream's.
    """

    name: str
    about: str
    sections: Sections
    run: Callable[[Settings], Awaitable[None]]
    usage: bool = True
    defaults: Mapping[str, str] = {}


def _flags(sections: Sections) -> dict[str, Flag]:
    return {flag.name: flag for section in sections.values() for flag in section}


def _default(flag: Flag) -> Any:
    from cka_kubelet.kube.flagvalues import PARSERS

    return PARSERS[flag.kind](flag.default) if flag.default else None


def _usage(program: Program) -> str:
    from cka_kubelet.kube.flagtext import usage_lines  # only whoever asks for help needs it

    lines = ["Usage:", f"  {program.name} [flags]"]
    for name, section in program.sections.items():
        lines += ["", f"{name[0].upper()}{name[1:]} flags:", "", *usage_lines(section, _default)]
    return "\n".join(lines) + "\n"


def _say(text: str) -> None:
    """On stderr, at once."""
    os.write(2, text.encode())


def _logging(parsed: ParsedFlags, flags: Mapping[str, Flag]) -> None:
    """Log as the flags say. Raises StartError."""
    form = parsed.text("logging-format", "text")
    if form not in ("text", "json"):
        raise StartError(f'format: Invalid value: "{form}": Unsupported log format')
    modules = [(item["filePattern"], item["verbosity"]) for item in parsed.values.get("vmodule") or ()]
    klog.configure(json=form == "json", vmodule=modules)
    klog.set_verbosity(int(parsed.values.get("v") or 0))
    if klog.enabled(1, "flags.go"):
        from cka_kubelet.kube.flagtext import log_flags

        log_flags(parsed, flags, _default)


def _gates(parsed: ParsedFlags) -> None:
    """Raises StartError for a feature gate that does not exist or cannot be set so."""
    items = parsed.values.get("feature-gates")
    if not items:
        return
    from cka_kubelet.kube.featuregates import GateError, check_gates, parse_gates

    for item in items:
        component, colon, _ = item.partition(":")
        if colon and component != "kube":
            raise StartError(f"component not registered: {component}")
    try:
        check_gates(parse_gates(item.removeprefix("kube:") for item in items))
    except GateError as error:
        raise StartError(str(error)) from error


def _parse(program: Program, argv: list[str], flags: Mapping[str, Flag]) -> ParsedFlags | int:
    try:
        parsed = parse(argv, flags)
    except FlagError as error:
        _say((_usage(program) + "\n" if program.usage else "") + f"Error: {error}\n")
        return 1
    if parsed.values.get("help"):
        sys.stdout.write(f"{program.about}\n\n{_usage(program)}")
        return 0
    if any(parsed.positional):
        words = " ".join(parsed.positional)
        _say(f'Error: "{program.name}" does not take any arguments, got ["{words}"]\n')
        return 1
    return parsed


def execute(program: Program, argv: list[str]) -> int:
    """Run with these words after the program's name, until it ends; its exit status."""
    set_process_name(program.name)
    flags = _flags(program.sections)
    parsed = _parse(program, argv, flags)
    if isinstance(parsed, int):
        return parsed
    try:
        _gates(parsed)
        if parsed.text("version") in ("true", "raw"):
            sys.stdout.write(f"Kubernetes {VERSION}\n")
            return 0
        _logging(parsed, flags)
        gc.freeze()
        asyncio.run(_until_done(program.run(Settings(parsed, flags, program.defaults))))
    except StartError as error:
        klog.error("run.go:72", "command failed", err=error)
        return 1
    except Exit as end:
        return end.status
    return 0


async def _until_done(run: Awaitable[None]) -> None:
    await run

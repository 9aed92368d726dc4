"""kubeadm's command line, as cobra reads it: flags anywhere, `--name value` or `--name=value`."""

from collections.abc import Mapping, Sequence

from cka_kubelet.kubeadm.errors import Failure


def parse(words: Sequence[str], known: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """(arguments, flags). `known`: flag → default; a default of "false" makes a switch. Raises Failure."""
    arguments: list[str] = []
    flags = dict(known)
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return arguments + rest, flags
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            continue
        name, has_value, value = word.lstrip("-").partition("=")
        name = "v" if word.startswith("-v") and not word.startswith("--") else name
        if name not in known:
            short = f"unknown shorthand flag: '{word[1]}' in {word}"
            raise Failure(f"unknown flag: --{name}" if word.startswith("--") else short)
        if not has_value and known[name] == "false":
            value = "true"
        elif not has_value:
            if not rest:
                raise Failure(f"flag needs an argument: --{name}")
            value = rest.pop(0)
        flags[name] = value
    return arguments, flags

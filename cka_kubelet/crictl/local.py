"""completion and config: commands that need no runtime."""

from pathlib import Path

from cka_kubelet.crictl import log, settings
from cka_kubelet.crictl.app import Context
from cka_kubelet.crictl.commands import COMMANDS
from cka_kubelet.crictl.errors import Failure, ShowHelp, wrap
from cka_kubelet.crictl.flags import HELP_COMMAND
from cka_kubelet.crictl.options import GLOBAL_FLAGS
from cka_kubelet.kube.tabwriter import tabulate

_BASH = """_crictl() {{
    local cur opts base
    COMPREPLY=()
    cur="${{COMP_WORDS[COMP_CWORD]}}"
    opts="{}"
    COMPREPLY=( $(compgen -W "${{opts}}" -- ${{cur}}) )
    return 0
}}

complete -F _crictl crictl"""
_ZSH = """#compdef crictl

_crictl() {{
  local -a cmds
  cmds=('{}')
  _describe 'commands' cmds

  local -a opts
  opts=('{}')
  _describe 'global options' opts

  return
}}

compdef _crictl crictl"""


async def completion(context: Context) -> None:
    """crictl completion"""
    if len(context.args) > 1:
        raise ShowHelp
    names = [(name, command.usage) for command in COMMANDS for name in command.names]
    names += [(name, HELP_COMMAND[1]) for name in ("help", "h")]
    options = [f"--{flag.names[0]}" for flag in GLOBAL_FLAGS] + ["--help", "--version"]
    shell = context.args[0] if context.args else "bash"
    if shell == "bash":
        print(_BASH.format("\n".join([*(name for name, _ in names), *options])))
    elif shell == "zsh":
        print(_ZSH.format("' '".join(f"{name}:{usage}" for name, usage in names), "' '".join(options)))
    elif shell == "fish":
        for name, usage in names:
            text = usage.replace("'", "\\'")
            print(f"complete -x -c crictl -n '__fish_use_subcommand' -a '{name}' -d '{text}'")
    else:
        raise Failure("only bash, zsh or fish are supported")


async def config(context: Context) -> None:
    """crictl config"""
    path = Path(context.config_path)
    settings.create(path)
    with wrap("load config file"):
        options = settings.read(path)
    if context.given("get"):
        print(_text(options[_known(context.get("get"))]))
    elif context.given("set"):
        for setting in context.get("set"):
            pair = setting.split("=")
            if len(pair) != 2:
                raise Failure(f"incorrectly specified option: {setting}")
            options[_known(pair[0])] = _value(*pair)
        settings.write(path, options)
    elif context.get("list"):
        rows = [("KEY", "VALUE"), *((key, _text(value)) for key, value in options.items())]
        print("\x1b[2J\x1b[H" + tabulate(rows), end="")
    elif not context.args or not context.args[0]:
        raise ShowHelp
    else:
        key, value = context.args[0], "".join(context.args[1:2])
        log.info(f'No --get, --set or --list provided, setting key "{key}" to value "{value}"')
        with wrap(f'set "{key}" to "{value}"'):
            options[_known(key)] = _value(key, value)
        settings.write(path, options)


def _known(key: str) -> str:
    if key not in settings.OPTIONS:
        raise Failure(f"no configuration option named {key}")
    return key


def _value(key: str, text: str) -> object:
    with wrap(f"parse {key} value '{text}'"):
        return settings.convert(key, text)


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value).lower()

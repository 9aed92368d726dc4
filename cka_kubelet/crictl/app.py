"""crictl's entry: reads the command line, connects, runs the command, ends with upstream's exit status."""

import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.crictl import flags, log, settings
from cka_kubelet.crictl.commands import COMMANDS
from cka_kubelet.crictl.errors import ExitError, Failure, ShowHelp
from cka_kubelet.crictl.options import DEFAULT_ENDPOINTS, GLOBAL_FLAGS, VERSION
from cka_kubelet.kube import klog


class _Log:
    """Failed calls are written as klog lines; failed dials are not (upstream leaves grpc's logging off)."""

    def error(self, source: str, msg: str, /, err: object | None = None, **kv: object) -> None:
        sys.stdout.flush()
        klog.error(source, msg, err=err, **kv)

    def raw(self, severity: str, source: str, text: str, /) -> None:
        """Nothing."""


class Context:
    """One command's flags, words and connections."""

    def __init__(self, command: flags.Command, parsed: flags.Parsed, config: settings.Settings, path: str) -> None:
        self.command = command
        self.args = parsed.args
        self.settings = config
        self.config_path = path
        self._parsed = parsed
        self._clients: dict[tuple[str, float], CRIClient] = {}

    @property
    def names(self) -> frozenset[str]:
        """The command's flags."""
        return frozenset(self._parsed.values)

    def get(self, name: str) -> Any:
        """A flag's value."""
        return self._parsed.values[name]

    def given(self, *names: str) -> bool:
        """Whether any of these flags was set."""
        return any(name in self._parsed.given for name in names)

    def labels(self, name: str = "label") -> dict[str, str]:
        """The `key=value` pairs of a list flag. Raises Failure."""
        result = {}
        for text in self.get(name):
            pair = text.split("=")
            if len(pair) != 2:
                raise Failure(f"incorrectly specified label: {text}")
            result[pair[0]] = pair[1]
        return result

    async def runtime(self, timeout: float = 0.0) -> CRIClient:
        """A checked connection to the runtime service; `timeout` seconds instead of the configured, if not 0."""
        endpoint = self.settings.runtime_endpoint
        if endpoint == "":
            raise Failure("--runtime-endpoint is not set")
        return await self._connect("runtime", endpoint, timeout or self.settings.timeout)

    async def images(self) -> CRIClient:
        """A checked connection to the image service, which is the runtime's unless configured otherwise."""
        endpoint = self.settings.image_endpoint or self.settings.runtime_endpoint
        if endpoint == "":
            raise Failure("--image-endpoint is not set")
        return await self._connect("image", endpoint, self.settings.timeout)

    async def _connect(self, service: str, endpoint: str | None, timeout: float) -> CRIClient:
        if endpoint is not None:
            return await self._validated(service, endpoint, timeout)
        log.warning(
            f"{'Image' if service == 'image' else 'runtime'} connect using default endpoints: "
            f"[{' '.join(DEFAULT_ENDPOINTS)}]. As the default settings are now deprecated, you should set the "
            "endpoint instead."
        )
        *others, last = DEFAULT_ENDPOINTS
        for candidate in others:
            try:
                return await self._validated(service, candidate, timeout)
            except RpcError as e:
                log.error(str(e))
        try:
            return await self._validated(service, last, timeout)
        except RpcError as e:
            log.error(str(e))
            raise

    async def _validated(self, service: str, endpoint: str, timeout: float) -> CRIClient:
        client = self._clients.get((endpoint, timeout))
        if client is None:
            try:
                client = CRIClient(endpoint, timeout, log=_Log())
            except ValueError as e:
                raise Failure(str(e)) from e
            self._clients[endpoint, timeout] = client
        await client.validate(service)
        return client

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def main(argv: Sequence[str]) -> int:
    """Run crictl with these words; the exit status."""
    try:
        status = _main(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output is gone, as in `crictl ps | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    return status


def _main(argv: Sequence[str]) -> int:
    try:
        top = flags.parse(
            [*GLOBAL_FLAGS, flags.Flag(("version", "v"), "bool", "")], argv, short=False, environment=dict(os.environ)
        )
        if top.help or (not top.args and not top.values["version"]) or top.args[:1] in (["help"], ["h"]):
            return _help(top.args)
        if top.values["version"]:
            print(f"crictl version {VERSION}")
            return 0
        config = settings.load(top)
        log.set_debug(config.debug)
        return _command(top, config)
    except flags.FlagError as e:
        print(f"Incorrect Usage: {e}\n\n{flags.app_help(COMMANDS, GLOBAL_FLAGS, VERSION)}", end="")
        log.error(str(e))
    except (Failure, RpcError) as e:
        log.error(str(e))
    except KeyboardInterrupt:
        log.error("interrupted: context canceled")
    return 1


def _help(words: Sequence[str]) -> int:
    """`crictl help`, `crictl help ps`, `crictl --help`."""
    if len(words) > 1:
        command = _find(words[1])
        if command is None:
            return _unknown(words[1])
        print(flags.command_help(command, as_subcommand=False), end="")
    else:
        print(flags.app_help(COMMANDS, GLOBAL_FLAGS, VERSION), end="")
    return 0


def _find(name: str) -> flags.Command | None:
    return next((command for command in COMMANDS if name in command.names), None)


def _unknown(name: str) -> int:
    print(f"No help topic for '{name}'", file=sys.stderr)
    return 3


def _command(top: flags.Parsed, config: settings.Settings) -> int:
    command = _find(top.args[0])
    if command is None:
        return _unknown(top.args[0])
    try:
        parsed = flags.parse(command.flags, top.args[1:], short=command.short, environment=dict(os.environ))
    except flags.FlagError as e:
        print(f"Incorrect Usage: {e}\n\n{flags.command_help(command, as_subcommand=True)}", end="")
        log.error(str(e))
        return 1
    if parsed.help or parsed.args[:1] in (["help"], ["h"]):
        print(flags.command_help(command, as_subcommand=False), end="")
        return 0
    context = Context(command, parsed, config, top.values["config"])
    try:
        asyncio.run(_run(context))
    except ShowHelp:
        print(flags.command_help(command, as_subcommand=True), end="")
    except ExitError as e:
        sys.stdout.flush()
        print(e, file=sys.stderr)
        return e.code
    return 0


async def _run(context: Context) -> None:
    module, _, function = context.command.run.partition(":")
    action = getattr(importlib.import_module(f"cka_kubelet.crictl.{module}"), function)
    try:
        await action(context)
    finally:
        await context.close()

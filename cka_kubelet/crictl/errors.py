"""How a crictl command ends when it does not end well."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from cka_kubelet.cri.errors import RpcError


class Failure(Exception):
    """The command failed: the text goes to stderr as an error line, the exit status is 1."""


class ExitError(Exception):
    """The command ends with `code` and a bare text on stderr (urfave/cli's cli.Exit)."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class ShowHelp(Exception):
    """The command's help goes to stdout, the exit status is 0."""


@contextmanager
def wrap(doing: str) -> Iterator[None]:
    """Put `doing: ` before the text of a failure, as Go's error wrapping does. Ctrl-C is a failure too."""
    try:
        yield
    except asyncio.CancelledError as e:
        raise Failure(f"{doing}: interrupted: context canceled") from e
    except (Failure, RpcError) as e:
        raise Failure(f"{doing}: {e}") from e


def join(errors: list[Exception]) -> None:
    """Raise one Failure with all the texts, a line each; nothing when there are none. An ExitError goes first."""
    for error in errors:
        if isinstance(error, ExitError):
            raise error
    if errors:
        raise Failure("\n".join(str(e) for e in errors))

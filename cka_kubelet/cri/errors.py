"""What can go wrong in a call to the container runtime, worded as grpc-go words it."""

CODES = (
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
)
"""gRPC status codes by number (grpc/grpc doc/statuscodes.md)."""


class RpcError(Exception):
    """A call to the runtime failed. `code` is a name out of CODES (or `Code(99)`), `desc` the description.

    str() is Go's `rpc error: code = NotFound desc = …`; with `bare`, only the description: upstream's CRI client
    strips the code from some errors (a pull that failed with Unknown).
    """

    def __init__(self, code: str, desc: str, *, bare: bool = False) -> None:
        super().__init__(code, desc)
        self.code = code
        self.desc = desc
        self.bare = bare

    def __str__(self) -> str:
        return self.desc if self.bare else f"rpc error: code = {self.code} desc = {self.desc}"


class CommandTimedOutError(RpcError):
    """ExecSync ran into its timeout: `command timed out: "sleep 9" timed out after 1s`."""

    def __init__(self, command: str, timeout: str) -> None:
        super().__init__("DeadlineExceeded", f"command timed out: {command} timed out after {timeout}", bare=True)


class ConnectError(Exception):
    """No connection to the runtime's socket. `desc` is what grpc-go puts between the quotes of `connection error`."""

    def __init__(self, desc: str) -> None:
        super().__init__(desc)
        self.desc = desc

    def __str__(self) -> str:
        return f"connection error: desc = {quote(self.desc)}"


def quote(text: str) -> str:
    """Go's %q for the texts that occur in these errors: quotes, backslashes and control characters escaped."""
    out = []
    for c in text:
        if c in '"\\':
            out.append("\\" + c)
        elif c in _ESCAPES:
            out.append(_ESCAPES[c])
        elif c < " " or c == "\x7f":
            out.append(f"\\x{ord(c):02x}")
        else:
            out.append(c)
    return '"' + "".join(out) + '"'


_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}

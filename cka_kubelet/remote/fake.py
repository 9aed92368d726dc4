"""A node without a node: files below a directory, systemd played by a small program, calls logged, errors on demand.

The node agent runs for real, so capture and restore are tested with true bytes, modes and links.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cka_kubelet.errors import CommandError, NodeError, NodeUnreachableError
from cka_kubelet.remote.shell import OUTPUT_LIMIT, Result, Terminal

_SYSTEMCTL = '''#!{python} -I
"""systemctl over a JSON file: {{unit: {{active, links of multi-user.target.wants}}}}."""
import json, os, sys
root = {root!r}
book = root + "/.units.json"
units = json.load(open(book))
words = [w for w in sys.argv[1:] if w != "--"]
verb, names = words[0], [w for w in words[1:] if w.endswith(".service")]
etc = root + "/etc/systemd/system"
def wants(u): return etc + "/multi-user.target.wants/" + u
def file_state(u):
    if os.path.islink(etc + "/" + u): return "masked"
    return "enabled" if os.path.islink(wants(u)) else "disabled"
for u in names:
    if verb == "show":
        a = units.get(u, "inactive")
        print("LoadState=loaded", "UnitFileState=" + file_state(u), "ActiveState=" + a, "SubState=" + a, sep="\\n")
    elif verb in ("start", "restart"):
        if file_state(u) == "masked": sys.exit("Unit %s is masked." % u)
        units[u] = "active"
    elif verb == "stop": units[u] = "inactive"
    elif verb == "enable" and not os.path.islink(wants(u)):
        os.makedirs(os.path.dirname(wants(u)), exist_ok=True)
        os.symlink("/usr/lib/systemd/system/" + u, wants(u))
    elif verb == "disable" and os.path.islink(wants(u)): os.unlink(wants(u))
    elif verb == "mask":
        os.makedirs(etc, exist_ok=True); os.symlink("/dev/null", etc + "/" + u)
    elif verb == "unmask" and os.path.islink(etc + "/" + u): os.unlink(etc + "/" + u)
    elif verb == "is-active":
        print(units.get(u, "inactive")); sys.exit(0 if units.get(u) == "active" else 3)
    elif verb == "is-enabled":
        print(file_state(u)); sys.exit(0 if file_state(u) == "enabled" else 1)
json.dump(units, open(book, "w"))
'''

Answer = Callable[[Sequence[str], bytes], Result | bytes | None]
"""Given argv and stdin: the result, just its stdout, or None for "not mine"."""


class FakeShell:
    """`Shell` on files below `root`. `calls` holds every argv; `answers` are asked, newest first, before the defaults;
    `fail` is called before anything else and may raise."""

    def __init__(self, root: Path, name: str = "node01") -> None:
        self._name = name
        self.root = root
        self.calls: list[tuple[str, ...]] = []
        self.answers: list[Answer] = []
        self.fail: Callable[[Sequence[str]], None] = lambda argv: None
        self.open_terminal_with: Callable[[int, int], Terminal] | None = None
        tools = root / ".tools"
        tools.mkdir(parents=True, exist_ok=True)
        program = tools / "systemctl"
        program.write_text(_SYSTEMCTL.format(python=sys.executable, root=str(root)))
        program.chmod(0o755)
        if not (root / ".units.json").exists():
            self.set_units({})

    @property
    def name(self) -> str:
        return self._name

    def set_units(self, active: dict[str, str], enabled: Sequence[str] = ()) -> None:
        """unit → ActiveState, and which of them are enabled."""
        (self.root / ".units.json").write_text(json.dumps(active))
        for unit in enabled:
            link = self.root / "etc/systemd/system/multi-user.target.wants" / unit
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(f"/usr/lib/systemd/system/{unit}")

    def units(self) -> dict[str, str]:
        """unit → ActiveState, as it is now."""
        found: dict[str, str] = json.loads((self.root / ".units.json").read_text())
        return found

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """A file, as if it had always been there."""
        real = self.root / path.lstrip("/")
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_bytes(data)
        real.chmod(mode)

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",
        timeout: float = 30.0,
        check: bool = True,
        limit: int = OUTPUT_LIMIT,
    ) -> Result:
        self.calls.append(tuple(argv))
        self.fail(argv)
        result = self._answer(argv, input)
        if check and not result.ok:
            raise CommandError(f"{self._name}: {argv[0]} ended with status {result.returncode}")
        return result

    def _answer(self, argv: Sequence[str], data: bytes) -> Result:
        for answer in reversed(self.answers):
            given = answer(argv, data)
            if isinstance(given, bytes):
                return Result(tuple(argv), 0, given, b"")
            if given is not None:
                return given
        if argv[:3] == ["python3", "-I", "-"]:
            program = data.replace(b'ROOT = ""', f"ROOT = {str(self.root)!r}".encode(), 1)
            return self._local([sys.executable, "-I", "-"], program, argv)
        if argv[0] == "systemctl":
            return self._local([str(self.root / ".tools/systemctl"), *argv[1:]], data, argv)
        return Result(tuple(argv), 127, b"", f"{argv[0]}: not found".encode())

    def _local(self, command: Sequence[str], data: bytes, argv: Sequence[str]) -> Result:
        environment = {"PATH": f"{self.root}/.tools:{os.environ.get('PATH', '')}"}
        done = subprocess.run(command, input=data, capture_output=True, check=False, env=environment, timeout=60)
        return Result(tuple(argv), done.returncode, done.stdout, done.stderr)

    def script(self, text: str, *, timeout: float = 60.0, check: bool = True) -> Result:
        return self.run(["sh", "-eu"], input=text.encode(), timeout=timeout, check=check)

    def read_file(self, path: str, *, limit: int = OUTPUT_LIMIT) -> bytes:
        self.calls.append(("read_file", path))
        self.fail(("read_file", path))
        real = self.root / path.lstrip("/")
        if not real.is_symlink() and not real.exists():
            raise FileNotFoundError(f"{self._name}: {path}")
        if real.is_symlink() or not real.is_file():
            raise NodeError(f"{self._name}: {path} is not a regular file")
        return real.read_bytes()[:limit]

    def connect(self, host: str, port: int) -> socket.socket:
        raise NodeUnreachableError(f"{self._name}: nothing listens on {host}:{port}")

    def write_file(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        self.calls.append(("write_file", path))
        self.fail(("write_file", path))
        self.put(path, data, mode)

    def open_terminal(self, columns: int = 80, rows: int = 24) -> Terminal:
        if self.open_terminal_with is None:
            raise NodeError(f"{self._name}: no terminal was prepared for this test")
        return self.open_terminal_with(columns, rows)

    def close(self) -> None:
        pass

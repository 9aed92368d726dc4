"""Podman or Docker, whichever is there. The only module that starts the engine's program."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from cka_kubelet.errors import EngineError

LABEL = "io.github.cka-kubelet"
"""Everything we make carries it, `<LABEL>=<cluster id>` or `=image`. Leftovers are found by it, not by a state file."""

CgroupMode = Literal["v1", "hybrid", "v2"]


def cgroup_mode(root: Path = Path("/sys/fs/cgroup")) -> CgroupMode:
    """How this machine mounts cgroups. Source: systemd's docs/CGROUP_DELEGATION."""
    if (root / "cgroup.controllers").exists():
        return "v2"
    return "hybrid" if (root / "unified").is_dir() else "v1"


def ulimits(limits: Iterable[tuple[str, int, int]] | None = None) -> list[str]:
    """`--ulimit` options that never ask for more than this process may have.

    `limits`: (name, hard limit now, wanted). Asking for more fails without CAP_SYS_RESOURCE; Podman 4.3 starts its
    helpers with a lower nproc than its caller's, hence the modest wish.
    """
    if limits is None:
        limits = [
            ("nofile", resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1_048_576),
            ("nproc", resource.getrlimit(resource.RLIMIT_NPROC)[1], 16_384),
        ]
    options = []
    for name, hard, wanted in limits:
        value = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        options += ["--ulimit", f"{name}={value}:{value}"]
    return options


@dataclass(frozen=True)
class Engine:
    """One container engine, as argv lists. `prefix` is `sudo -n` where this user may not use it directly."""

    kind: Literal["podman", "docker"]
    binary: str
    prefix: tuple[str, ...] = ()
    runtime: str = ""

    def run(self, *args: str, timeout: float = 60, stdin: IO[bytes] | None = None, check: bool = True) -> str:
        """stdout of one engine command. Raises EngineError with the engine's own words."""
        try:
            done = subprocess.run(
                self.argv(*args), stdin=stdin or subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise EngineError(
                f"`{self.kind} {args[0]}` did not end within {timeout:g} s",
                f"Is the engine healthy? Try `{self.kind} info`.",
            ) from None
        if check and done.returncode:
            raise EngineError(_explain(self.kind, args, done.stderr), _advice(done.stderr))
        return done.stdout.decode("utf-8", "replace")

    def argv(self, *args: str) -> list[str]:
        """The whole command line, the chosen OCI runtime included where it counts."""
        podman_runtime = ["--runtime", self.runtime] if self.runtime and self.kind == "podman" else []
        return [*self.prefix, self.binary, *podman_runtime, *args]

    def json(self, *args: str) -> Any:
        """What a command prints, parsed; one document or one per line (Docker)."""
        text = self.run(*args).strip()
        if not text:
            return []
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(text)
        return [json.loads(line) for line in text.splitlines()]

    def exists(self, what: Literal["image", "container", "network", "volume"], name: str) -> bool:
        """Whether an object of that name exists."""
        argv = self.argv(what, "inspect", name)
        return subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0

    def labelled(self, what: Literal["image", "container", "network", "volume"], value: str) -> list[str]:
        """Names or ids of our objects of one kind."""
        listing = {
            "container": ("ps", "--all", "--format", "{{.Names}}"),
            "image": ("image", "ls", "--format", "{{.Repository}}:{{.Tag}}"),
            "network": ("network", "ls", "--format", "{{.Name}}"),
            "volume": ("volume", "ls", "--format", "{{.Name}}"),
        }[what]
        return self.run(*listing, "--filter", f"label={LABEL}={value}").split()

    def node_options(self, cgroups: CgroupMode | None = None) -> list[str]:
        """`run` options that let systemd be PID 1. Source of each: the README's "What a node needs"."""
        options = ["--privileged", "--cgroupns=private", *ulimits(), "--stop-signal", "SIGRTMIN+3"]
        options += ["--tmpfs", "/run", "--tmpfs", "/run/lock", "--volume", "/var/lib/containerd"]
        options += ["--env", f"container={self.kind}"]
        if self.kind == "podman":
            options += ["--systemd=false"]  # on cgroup v1 it would lay the machine's systemd hierarchy over the node's
        elif self.runtime:
            options += ["--runtime", self.runtime]
        if (cgroups or cgroup_mode()) != "v2":
            options += ["--env", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
        return options

    def node_command(self, group: str, cgroups: CgroupMode | None = None) -> list[str]:
        """PID 1 of a node. `group`: a name no other node on this machine has.

        Where a machine mounts cgroup v1 alone, the unified hierarchy exists but no engine gives a container a group in
        it; systemd mounts it all the same and all nodes would share its root. So the node makes its own group first.
        """
        if (cgroups or cgroup_mode()) != "v1":
            return ["/sbin/init"]
        top, own = "/run/unified", f"/run/unified/{group}"
        script = (
            f"mkdir {top} && mount -t cgroup2 none {top} && mkdir -p {own} && echo $$ >{own}/cgroup.procs; "
            f"umount {top} && rmdir {top}; exec unshare --cgroup /sbin/init"
        )
        return ["sh", "-c", script]


def find_engine() -> Engine | None:
    """The engine that answers on this machine, Podman first; None when there is none.

    A rootless Podman cannot run privileged systemd nodes with their own cgroups, so as an ordinary user Podman is asked
    through `sudo -n`. Docker is used as the user when its socket lets them.
    """
    for candidate in _candidates():
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run(candidate.argv("info"), capture_output=True, timeout=30, check=False).returncode == 0:
                return candidate
    return None


def silent_engine() -> tuple[str, str] | None:
    """What is wrong with an engine that is installed and does not answer, and what mends it; None when none is."""
    said = None
    for candidate in _candidates():
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(candidate.argv("info"), capture_output=True, timeout=30, check=False)
            words = (done.stdout + done.stderr).decode("utf-8", "replace")  # Docker 20.10 prints its error to stdout
            if done.returncode and said is None:
                said = why_silent(candidate, words)
    return said or (
        why_silent(Engine("podman", "podman"), "") if shutil.which("podman") and os.geteuid() != 0 else None
    )


def why_silent(engine: Engine, words: str) -> tuple[str, str]:
    """What an engine's refusal of `info` means to the user, and the command that mends it."""
    text = words.lower()
    if engine.kind == "podman" and (engine.prefix or not text):
        return (
            "Podman is installed, but rootless, as this user has it, it cannot hold nodes, and sudo wants a password",
            "sudo -v, then the same command again; or run it as root",
        )
    if "permission denied" in text and not engine.prefix:
        return (
            "Docker is installed, but this user may not use its socket",
            "sudo usermod --append --groups docker $USER, then log in again; or run it as root",
        )
    if "cannot connect" in text or "is the docker daemon running" in text:
        return "Docker is installed, but its daemon does not run", "sudo systemctl start docker"
    short = " ".join(words.split())[-200:]
    return (
        f"{engine.kind.capitalize()} is installed but does not answer: {short}",
        f"See what `{engine.kind} info` says.",
    )


def _candidates() -> Iterator[Engine]:
    root = os.geteuid() == 0
    wanted = os.environ.get("CKA_KUBELET_ENGINE", "")
    for kind in ("podman", "docker"):
        binary = shutil.which(kind)
        if not binary or (wanted and wanted != kind):
            continue
        if root or kind == "docker":
            yield Engine(kind, binary)
        if not root and shutil.which("sudo"):
            yield Engine(kind, binary, prefix=("sudo", "-n"))


def with_working_runtime(engine: Engine, image: str) -> Engine:
    """The engine with an OCI runtime that really starts a container here: crun refuses hybrid cgroups.

    Tries the engine's own default first. Raises EngineError with the last refusal when none works.
    """
    refusals: list[EngineError] = []
    for runtime in ("", "runc", "crun"):
        if runtime and not shutil.which(runtime) and not Path(f"/usr/sbin/{runtime}").exists():
            continue
        candidate = Engine(engine.kind, engine.binary, engine.prefix, runtime)
        try:
            candidate.run("run", "--rm", *candidate.node_options(), image, "true", timeout=60)
        except EngineError as err:
            refusals.append(err)
        else:
            return candidate
    raise refusals[-1]


def _explain(kind: str, args: Sequence[str], stderr: bytes) -> str:
    lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    said = " ".join(line.strip() for line in lines if "level=warning" not in line)[-500:]
    return f"`{kind} {' '.join(args[:2])}` failed: {said or 'no reason given'}"


def _advice(stderr: bytes) -> str:
    text = stderr.lower()
    if b"no space left" in text:
        return "Free some disk space (a lab needs about 3 GB); `cka-kubelet nodes destroy --images` removes ours."
    if b"address already in use" in text or b"already allocated" in text:
        return "Another program took the port; run the command again and another is chosen."
    if b"permission denied" in text:
        return "Run it as root, with sudo, or as a member of the engine's group."
    return "`cka-kubelet doctor` checks this machine."

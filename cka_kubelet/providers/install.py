"""A machine without a container engine gets one, after it was told what will be installed."""

import os
import shutil
import subprocess

from cka_kubelet.errors import EngineError, EnvironmentError_
from cka_kubelet.providers.base import Progress
from cka_kubelet.providers.engine import Engine, find_engine, silent_engine

# podman itself; runc because crun refuses hybrid cgroups; mmdebstrap and the keyring build the base image without a
# registry; netavark, aardvark-dns, iptables (Debian 12) and nftables (Debian 13) are Podman's networks.
PACKAGES = (
    "podman",
    "runc",
    "mmdebstrap",
    "debian-archive-keyring",
    "netavark",
    "aardvark-dns",
    "iptables",
    "nftables",
)


def as_root(*argv: str) -> list[str]:
    """The command line that runs `argv` as root. Raises EnvironmentError_ when this user cannot become root."""
    if os.geteuid() == 0:
        return list(argv)
    if shutil.which("sudo"):
        return ["sudo", *argv]
    raise EnvironmentError_(
        f"`{' '.join(argv[:3])} …` needs root, and this machine has no sudo", "Run the command again as root."
    )


def apt_install(packages: tuple[str, ...], progress: Progress) -> None:
    """Install Debian packages, saying so first. Raises EnvironmentError_ without apt, root or network."""
    command = f"apt-get install {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise EngineError(
            "no container engine found, and this is not a Debian or Ubuntu machine that apt could install one on",
            "Install Podman or Docker and run the command again.",
        )
    progress("engine", f"installing with apt: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(
            as_root("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *step),
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            said = " ".join(done.stderr.split())[-400:]
            raise EnvironmentError_(f"`apt-get {step[0]}` failed: {said}", f"Mend that, or run: sudo {command}")


def ensure_engine(progress: Progress) -> Engine:
    """The machine's engine, installed first where there is none. Raises EngineError."""
    engine = find_engine()
    if engine is None:
        if trouble := silent_engine():
            raise EngineError(*trouble)
        apt_install(PACKAGES, progress)
        engine = find_engine()
    if engine is None:
        raise EngineError("podman was installed but does not answer", "See what `podman info` says.")
    progress("engine", f"{engine.kind} ({engine.binary})")
    return engine

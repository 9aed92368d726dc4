"""The image every node starts as: Debian 13 with systemd, sshd and the packages of a node, reachable with our key.

From a registry when one answers, else built with mmdebstrap. Nothing of Kubernetes is in it: that comes over SSH.
"""

import hashlib
import http.client
import io
import json
import os
import platform
import ssl
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from cka_kubelet.errors import EngineError, EnvironmentError_
from cka_kubelet.providers import identity
from cka_kubelet.providers.base import Progress
from cka_kubelet.providers.engine import LABEL, Engine
from cka_kubelet.providers.install import apt_install, as_root
from cka_kubelet.provision import node_packages

SUITE = "trixie"  # systemd 258 and later refuse cgroup v1, so this is the newest suite that boots everywhere
DEFAULT_MIRROR = "http://deb.debian.org/debian"
REGISTRY_IMAGE = f"docker.io/library/debian:{SUITE}-slim"
"""What a node's image is made from; `CKA_KUBELET_BASE_IMAGE` names another, for example on a mirror."""
_REGISTRY_SECONDS = 3.0
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# Files that must be there before the first boot. MACAddressPolicy=none: with systemd's default the address derives
# from the machine id and two nodes of one image could not reach each other. PerSourcePenalties: OpenSSH 9.8 would
# shut us out for half a minute after one early login.
FILES: dict[str, tuple[str, int]] = {
    "etc/machine-id": ("", 0o444),
    "etc/systemd/network/10-keep-names.link": (
        "[Match]\nOriginalName=*\n\n[Link]\nMACAddressPolicy=none\nNamePolicy=keep\n",
        0o644,
    ),
    "etc/ssh/sshd_config.d/10-lab.conf": (
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\nPrintMotd no\nUseDNS no\n"
        "MaxSessions 64\nMaxStartups 64\n",
        0o644,
    ),
    "etc/ssh/sshd_config.d/20-penalties.conf": ("PerSourcePenalties no\n", 0o644),
    "etc/systemd/system/ssh-hostkeys.service": (
        "[Unit]\nDescription=Make SSH host keys\nBefore=ssh.service\n"
        "ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\n\n"
        "[Service]\nType=oneshot\nExecStart=/usr/bin/ssh-keygen -A\n\n[Install]\nWantedBy=multi-user.target\n",
        0o644,
    ),
}
# A node must leave the machine it shares a kernel with alone: systemd-binfmt would forget the binary formats of the
# machine when the node stops, udev-trigger would replay the events of all its devices.
_FINISH = (
    "rm -f /etc/ssh/ssh_host_*; mkdir -p /run/sshd; systemctl enable ssh.service ssh-hostkeys.service; "
    "systemctl disable ssh.socket apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer "
    "fstrim.timer 2>/dev/null; systemctl mask getty.target console-getty.service systemd-firstboot.service; "
    "systemctl mask sys-kernel-debug.mount sys-kernel-tracing.mount systemd-binfmt.service "
    "proc-sys-fs-binfmt_misc.automount systemd-udev-trigger.service; "
    "rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/* /var/cache/apt/*.bin; : >/etc/machine-id; true"
)


def content_hash(public_key: str) -> str:
    """Changes with everything that goes into the image."""
    parts = (SUITE, node_packages.ALL, FILES, _FINISH, public_key)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def overlay(public_key: str) -> bytes:
    """`FILES` and our key as a tar that is unpacked over the root file system."""
    files = {**FILES, "root/.ssh/authorized_keys": (public_key.strip() + "\n", 0o600)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        ssh = tarfile.TarInfo("root/.ssh")
        ssh.type, ssh.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(ssh)
        for name, (text, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.mode, info.size = mode, len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def name_of(public_key: str) -> str:
    """The base image's name in the engine."""
    return f"localhost/cka-kubelet-{identity.installation_id()}-base:{content_hash(public_key)}"


def ensure_base_image(engine: Engine, public_key: str, progress: Progress) -> str:
    """The base image's name; built when it is not there. Raises EngineError, EnvironmentError_."""
    image = name_of(public_key)
    if engine.exists("image", image):
        return image
    source = os.environ.get("CKA_KUBELET_BASE_IMAGE") or REGISTRY_IMAGE
    if registry_answers(registry_of(source)):
        try:
            _from_registry(engine, source, image, public_key, progress)
        except EngineError as err:
            progress("base image", f"not from a registry ({err.message[:160]}…)")
        else:
            return image
    _from_mmdebstrap(engine, image, public_key, progress)
    return image


def registry_of(image: str) -> str:
    """The registry's `host[:port]` of an image name. Source: the distribution project's reference grammar."""
    first, slash, _ = image.partition("/")
    named = bool(slash) and (first == "localhost" or "." in first or ":" in first)
    return first if named and first != "docker.io" else "registry-1.docker.io"


def registry_answers(registry: str, seconds: float = _REGISTRY_SECONDS) -> bool:
    """Whether something speaks HTTP there: an engine would wait minutes for a registry that takes and says nothing.

    A refusal is an answer too (registries ask for a token first), and so is a handshake that fails: whether to trust
    the registry, or to speak to it without TLS, is the engine's own decision.
    """
    try:
        urllib.request.urlopen(f"https://{registry}/v2/", timeout=seconds).close()
    except urllib.error.HTTPError as err:
        err.close()
    except urllib.error.URLError as err:
        return isinstance(err.reason, ssl.SSLError)
    except (OSError, http.client.HTTPException):
        return False
    return True


def _from_registry(engine: Engine, source: str, image: str, public_key: str, progress: Progress) -> None:
    progress("base image", f"pulling {source}")
    engine.run("pull", "--quiet", source, timeout=180)
    progress("base image", f"adding {len(node_packages.ALL)} packages")
    builder = f"cka-kubelet-build-{content_hash(public_key)}"
    script = (
        "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && "
        f"apt-get install -y -qq --no-install-recommends {' '.join(node_packages.ALL)} && tar -C / -x && ({_FINISH})"
    )
    engine.run("rm", "--force", builder, check=False)
    try:
        with tempfile.TemporaryFile() as stdin:
            stdin.write(overlay(public_key))
            stdin.seek(0)
            options = ("--interactive", "--name", builder, "--label", f"{LABEL}=builder")
            engine.run("run", *options, source, "sh", "-c", script, timeout=600, stdin=stdin)
        changes = ("--change", 'CMD ["/sbin/init"]', "--change", f"LABEL {LABEL}=image")
        engine.run("commit", *changes, builder, image, timeout=300)
    finally:
        engine.run("rm", "--force", "--volumes", builder, check=False)


def _from_mmdebstrap(engine: Engine, image: str, public_key: str, progress: Progress) -> None:
    """mmdebstrap writes a tar, the engine imports it while it is written. About 30 s.

    The image gets its name only when mmdebstrap has ended well: a tar cut short is imported without complaint.
    """
    _ensure_mmdebstrap(progress)
    partial = f"{image}-partial"
    progress("base image", f"building Debian {SUITE} with {len(node_packages.ALL)} packages")
    changes = ["--change", 'CMD ["/sbin/init"]', "--change", f"LABEL {LABEL}=image"]
    with tempfile.TemporaryDirectory() as work:
        files = Path(work) / "overlay.tar"
        files.write_bytes(overlay(public_key))
        argv = as_root(
            "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(node_packages.ALL)}",
            '--aptopt=Acquire::Languages "none"', "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            f"--customize-hook=tar-in {files} /", f'--customize-hook=chroot "$1" sh -c {_quote(_FINISH)}',
            SUITE, "-", mirror(),
        )  # fmt: skip
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors) as builder,
        ):
            try:
                engine.run("import", *changes, "-", partial, stdin=builder.stdout, timeout=3600)
            except EngineError as err:
                builder.kill()
                builder.wait()
                raise _mmdebstrap_error(errors, builder.returncode) or err from None
            if builder.wait():
                engine.run("image", "rm", "--force", partial, check=False)
                raise _mmdebstrap_error(errors, builder.returncode) or EngineError("mmdebstrap failed")
    engine.run("tag", partial, image)
    engine.run("image", "rm", partial, check=False)


def _mmdebstrap_error(errors: IO[bytes], code: int) -> EnvironmentError_ | None:
    errors.seek(0)
    lines = [line for line in errors.read().decode("utf-8", "replace").splitlines() if line.startswith("E:")]
    if not lines:
        return None
    return EnvironmentError_(
        f"mmdebstrap could not build the base image (status {code}): {' '.join(lines)[-400:]}",
        f"Is the Debian mirror {mirror()} reachable, and is there 3 GB of free disk?",
    )


def _ensure_mmdebstrap(progress: Progress) -> None:
    needed = {"mmdebstrap": Path("/usr/bin/mmdebstrap"), "debian-archive-keyring": _KEYRING}
    missing = [package for package, path in needed.items() if not path.exists()]
    if missing:
        apt_install(tuple(missing), progress)


def mirror(sources: Path = Path("/etc/apt")) -> str:
    """A Debian mirror: this machine's own where it is a Debian, else Debian's default."""
    if platform.freedesktop_os_release().get("ID") != "debian":
        return DEFAULT_MIRROR
    for path in sorted([*sources.glob("sources.list"), *sources.glob("sources.list.d/*")]):
        for word in path.read_text(errors="replace").split():
            if word.startswith(("http://", "https://")) and word.rstrip("/").endswith("/debian"):
                return word.rstrip("/")
    return DEFAULT_MIRROR


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

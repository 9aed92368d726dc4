"""What this machine is: identity, sizes, addresses, usage. Reads /proc, /sys and /etc; every size is in bytes."""

import fcntl
import ipaddress
import os
import platform
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}
_SIOCGIFADDR = 0x8915


class Filesystem(NamedTuple):
    """Sizes of a file system in bytes, and its inodes."""

    capacity: int
    available: int
    inodes: int
    inodes_free: int


class Memory(NamedTuple):
    """Bytes of RAM, and of it what could be had without swapping."""

    total: int
    available: int


def read_text(path: str) -> str:
    """A small file's text without surrounding blanks, "" when it cannot be read."""
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def architecture() -> str:
    """GOARCH: amd64, arm64, …"""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def filesystem(path: str) -> Filesystem:
    """Of the file system that holds `path`. Raises OSError."""
    status = os.statvfs(path)
    return Filesystem(
        status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize, status.f_files, status.f_ffree
    )


def memory() -> Memory:
    """From /proc/meminfo."""
    values = {}
    for line in read_text("/proc/meminfo").splitlines():
        key, _, rest = line.partition(":")
        if key in ("MemTotal", "MemAvailable"):
            values[key] = int(rest.split()[0]) * 1024
    return Memory(values.get("MemTotal", 0), values.get("MemAvailable", 0))


def processes() -> tuple[int, int]:
    """(most process ids there can be, tasks there are)."""
    limits = [
        int(text) for text in map(read_text, ("/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max")) if text
    ]
    running = 0
    with suppress(IndexError, ValueError):
        running = int(read_text("/proc/loadavg").split()[3].split("/")[1])
    return min(limits, default=0), running


def huge_pages() -> dict[str, int]:
    """Bytes in preallocated huge pages by resource name, e.g. `hugepages-2Mi`."""
    found = {}
    root = Path("/sys/kernel/mm/hugepages")
    for folder in sorted(root.glob("hugepages-*kB")) if root.is_dir() else ():
        kib = int(folder.name.removeprefix("hugepages-").removesuffix("kB"))
        size = f"{kib >> 20}Gi" if kib % (1 << 20) == 0 else f"{kib >> 10}Mi" if kib % 1024 == 0 else f"{kib}Ki"
        count = int(read_text(f"{folder}/nr_hugepages") or "0")
        found[f"hugepages-{size}"] = count * kib * 1024
    return found


def cpu_count() -> int:
    """Processors that are online."""
    return os.cpu_count() or 1


def os_image() -> str:
    """PRETTY_NAME of os-release."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        for line in read_text(path).splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip().strip("\"'")
    return "Linux"


def identity() -> dict[str, str]:
    """machineID, systemUUID, bootID, kernelVersion, osImage, operatingSystem, architecture as in nodeInfo."""
    machine = read_text("/etc/machine-id")
    return {
        "machineID": machine,
        "systemUUID": read_text("/sys/class/dmi/id/product_uuid") or machine,
        "bootID": read_text("/proc/sys/kernel/random/boot_id"),
        "kernelVersion": os.uname().release,
        "osImage": os_image(),
        "operatingSystem": "linux",
        "architecture": architecture(),
    }


def cgroup_version() -> int:
    """2 on a unified hierarchy, else 1 (hybrid counts as 1)."""
    return 2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1


def swap_devices() -> str:
    """/proc/swaps when swap is on, else ""."""
    text = read_text("/proc/swaps")
    return text if len(text.splitlines()) > 1 else ""


def hostname() -> str:
    """The host name in lower case."""
    return socket.gethostname().strip().lower()


def local_addresses() -> list[str]:
    """IPv4 addresses of the interfaces, then global IPv6 ones."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found.append(socket.inet_ntoa(answer[20:24]))
    for line in read_text("/proc/net/if_inet6").splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[3] == "00":
            found.append(str(ipaddress.ip_address(bytes.fromhex(fields[0]))))
    return found


def is_local(address: str) -> bool:
    """Whether an interface of this host has `address`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError:
            return False
    return True


def default_address(*, prefer_ipv6: bool = False) -> str:
    """The address this host sends from by default: by the hosts file's own name, else by the default route; or ""."""
    name = socket.gethostname()
    for line in read_text("/etc/hosts").splitlines() if not prefer_ipv6 else ():
        address, *names = line.partition("#")[0].split() or [""]
        if name in names and _usable(address) and is_local(address):
            return address
    routes = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")]
    for family, target in reversed(routes) if prefer_ipv6 else routes:
        with socket.socket(family, socket.SOCK_DGRAM) as sock, suppress(OSError):
            sock.connect((target, 9))  # nothing is sent: the kernel only picks the route
            return str(sock.getsockname()[0])
    return next((address for address in local_addresses() if _usable(address)), "")


def _usable(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)

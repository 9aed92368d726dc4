"""Whether cgroups exist that the configuration names (pkg/kubelet/cm Validate), and kernel settings it demands."""

import json
from pathlib import Path

from cka_kubelet.kube.gofmt import join_errors, path_error

_ROOT = "/sys/fs/cgroup"
_V1 = ("cpu", "cpuacct", "cpuset", "hugetlb", "memory", "pids", "systemd")
_V2 = frozenset({"cpu", "cpuset", "hugetlb", "memory", "pids"})
_TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}


def parts(name: str, driver: str) -> list[str]:
    """The cgroup's name in pieces: `/a/b`, or for systemd `/a.slice/a-b.slice`."""
    if driver == "systemd":
        base = name.rstrip("/").rpartition("/")[2].removesuffix(".slice")
        return [piece.replace("_", "-") for piece in base.split("-") if piece]
    return [piece for piece in name.split("/") if piece]


def folder(pieces: list[str], driver: str) -> str:
    """The path below a hierarchy's root."""
    if driver != "systemd":
        return "/".join(pieces)
    escaped = [piece.replace("-", "_") for piece in pieces]
    return "/".join("-".join(escaped[: index + 1]) + ".slice" for index in range(len(escaped)))


def missing(pieces: list[str], driver: str, version: int, root: str = _ROOT) -> str | None:
    """What is not there of a cgroup, None when it can be used."""
    shown = json.dumps(pieces, separators=(" ", ": "))
    below = folder(pieces, driver)
    if version == 1:
        mounted = [Path(f"{root}/{controller}") for controller in _V1 if Path(f"{root}/{controller}").is_dir()]
        absent = [str(top / below) for top in mounted if not (top / below).is_dir()]
        return f"cgroup {shown} has some missing paths: {', '.join(absent)}" if absent else None
    try:
        supported = set(Path(f"{root}/cgroup.controllers").read_text().split()) & _V2
    except OSError:
        supported = set()
    path = f"{root}/{below}/cgroup.controllers" if below else f"{root}/cgroup.controllers"
    try:
        enabled = set(Path(path).read_text().split())
    except OSError as error:
        return f"could not read controllers for cgroup {shown}: {path_error('open', path, error)}"
    lacking = sorted(supported - enabled)
    return f"cgroup {shown} has some missing controllers: {', '.join(lacking)}" if lacking else None


def kernel_problem(root: str = "/proc/sys") -> str | None:
    """What protectKernelDefaults finds wrong, None when every setting is the kubelet's."""
    problems = []
    for flag, wanted in _TUNABLES.items():
        try:
            found = int(Path(f"{root}/{flag}").read_text())
        except OSError as error:
            problems.append(path_error("open", f"{root}/{flag}", error))
        except ValueError:
            continue
        else:
            if found != wanted:
                problems.append(f"invalid kernel flag: {flag}, expected value: {wanted}, actual value: {found}")
    return join_errors(problems) if problems else None

"""Runs on a node: sent whole on stdin to `python3 -I -`, prints one JSON document, leaves nothing behind.

It knows files and systemd units, nothing of faults. Standard library only, Python 3.9 and later.
"""
# Links are handled as links, and xattrs and owners exist only in os:
# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH106, PTH108, PTH114, PTH115, PTH118, PTH120, PTH123, PTH207, PTH211

import base64
import contextlib
import glob
import hashlib
import json
import os
import stat
import subprocess
from typing import Any

ROOT = ""
MAX_FILE = 4 * 1024 * 1024
UNIT_DIR = "/etc/systemd/system"
State = dict[str, Any]


def state_of(path: str) -> State:
    """What is at `path`, itself (links are not followed): enough to put exactly that back."""
    real = ROOT + path
    try:
        about = os.lstat(real)
    except (FileNotFoundError, NotADirectoryError):
        return {"kind": "absent"}
    state: State = {"mode": stat.S_IMODE(about.st_mode), "uid": about.st_uid, "gid": about.st_gid}
    state["mtime_ns"] = about.st_mtime_ns
    state["xattrs"] = xattrs_of(real)
    if stat.S_ISLNK(about.st_mode):
        return {**state, "kind": "symlink", "target": os.readlink(real)}
    if stat.S_ISDIR(about.st_mode):
        return {**state, "kind": "directory"}
    if not stat.S_ISREG(about.st_mode):
        raise ValueError(f"{path} is neither a file nor a link nor a directory")
    if about.st_size > MAX_FILE:
        raise ValueError(f"{path} has {about.st_size} bytes; at most {MAX_FILE} are kept for undo")
    with open(real, "rb") as file:
        return {**state, "kind": "file", "data": base64.b64encode(file.read()).decode()}


def xattrs_of(real: str) -> dict[str, str]:
    try:
        names = os.listxattr(real, follow_symlinks=False)
        return {n: base64.b64encode(os.getxattr(real, n, follow_symlinks=False)).decode() for n in sorted(names)}
    except OSError:
        return {}


def differs(have: State, want: State) -> bool:
    ignored = {"mtime_ns"} if want["kind"] == "directory" else set()
    return {k: v for k, v in have.items() if k not in ignored} != {k: v for k, v in want.items() if k not in ignored}


def put(path: str, want: State) -> bool:
    """Make `path` exactly `want`; True when something was changed. Files are rewritten in place: containerd only
    notices CNI files that are written to, not those renamed into place (containerd issue 11715)."""
    have = state_of(path)
    if not differs(have, want):
        return False
    real = ROOT + path
    if have["kind"] not in ("absent", want["kind"]):
        remove(real, have["kind"])
        have = {"kind": "absent"}
    if want["kind"] == "absent":
        if have["kind"] != "absent":
            remove(real, have["kind"])
        return True
    os.makedirs(os.path.dirname(real), exist_ok=True)
    if want["kind"] == "symlink" and have.get("target") != want["target"]:
        temporary = real + ".new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        os.symlink(want["target"], temporary)
        os.rename(temporary, real)
    elif want["kind"] == "directory" and have["kind"] == "absent":
        os.mkdir(real)
    elif want["kind"] == "file" and have.get("data") != want["data"]:
        write(real, base64.b64decode(want["data"]))
    dress(real, want)
    return True


def remove(real: str, kind: str) -> None:
    if kind == "directory":
        os.rmdir(real)
    else:
        os.unlink(real)


def write(real: str, data: bytes) -> None:
    handle = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with open(handle, "wb") as file:
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def dress(real: str, want: State) -> None:
    """Owner, mode, extended attributes and times, in the order in which none undoes another."""
    about = os.lstat(real)
    uid, gid = want.get("uid", about.st_uid), want.get("gid", about.st_gid)
    if (about.st_uid, about.st_gid) != (uid, gid):
        os.lchown(real, uid, gid)
    link = stat.S_ISLNK(about.st_mode)
    if not link and "mode" in want:
        os.chmod(real, want["mode"])
    if "xattrs" in want:
        have = xattrs_of(real)
        for name in have.keys() - want["xattrs"].keys():
            os.removexattr(real, name, follow_symlinks=False)
        for name, value in want["xattrs"].items():
            if have.get(name) != value:
                os.setxattr(real, name, base64.b64decode(value), follow_symlinks=False)
    if "mtime_ns" in want:
        os.utime(real, ns=(os.lstat(real).st_atime_ns, want["mtime_ns"]), follow_symlinks=False)


def systemctl(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=120, check=False)


def links_of(unit: str) -> dict[str, State]:
    """The links and overriding files by which a unit is enabled, aliased or masked."""
    name = glob.escape(unit)
    found = [p for kind in ("wants", "requires", "upholds") for p in glob.glob(f"{ROOT}{UNIT_DIR}/*.{kind}/{name}")]
    own = f"{ROOT}{UNIT_DIR}/{unit}"
    found += [own] if os.path.islink(own) else []
    # glob follows links when it tests existence, so a dangling one is found by listing its directory
    for directory in glob.glob(f"{ROOT}{UNIT_DIR}/*.wants"):
        found += [f"{directory}/{unit}"] if os.path.islink(f"{directory}/{unit}") else []
    return {path[len(ROOT) :]: state_of(path[len(ROOT) :]) for path in sorted(set(found))}


def unit_state(unit: str) -> State:
    shown = systemctl("show", "-p", "LoadState,UnitFileState,ActiveState,SubState", "--", unit).stdout
    values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return {
        "load": values.get("LoadState", ""),
        "file": values.get("UnitFileState", ""),
        "active": values.get("ActiveState", ""),
        "sub": values.get("SubState", ""),
        "links": links_of(unit),
    }


def restore(paths: dict[str, State], units: dict[str, State]) -> State:
    changed: list[str] = []
    errors: list[str] = []
    wanted = dict(paths)
    for unit, state in units.items():
        for path in links_of(unit):
            wanted.setdefault(path, {"kind": "absent"})
        wanted.update(state["links"])
        if state["load"] == "not-found":  # the unit came with the fault: only its own file knows how to end it
            systemctl("stop", "--", unit)
    for path in sorted(wanted, key=lambda p: (wanted[p]["kind"] == "directory", p)):
        try:
            if put(path, wanted[path]):
                changed.append(path)
        except OSError as err:
            errors.append(f"{path}: {err.strerror or err}")
    systemctl("daemon-reload")
    for unit, state in units.items():
        systemctl("reset-failed", "--", unit)
        up = state["active"] in ("active", "activating", "reloading")
        done = systemctl("restart" if up else "stop", "--", unit)
        if done.returncode and state["load"] != "not-found":
            errors.append(f"{unit}: {done.stderr.strip()[-300:]}")
    return {"changed": changed, "errors": errors}


def act(operation: State) -> None:
    kind = operation["do"]
    if kind == "put":
        put(operation["path"], operation["state"])
    elif kind == "daemon-reload":
        must(systemctl("daemon-reload"))
    elif kind == "unit":
        must(systemctl(operation["action"], "--", operation["unit"]))
    else:
        raise ValueError(f"unknown operation {kind}")


def must(done: "subprocess.CompletedProcess[str]") -> None:
    if done.returncode:
        raise ValueError(f"{' '.join(done.args)}: {done.stderr.strip()[-300:]}")


def manifest(roots: list[str], exclude: list[str]) -> dict[str, str]:
    """path → kind, mode, owner, group, content hash or link target, of everything below `roots`."""
    found: dict[str, str] = {}
    for root in roots:
        for real in walk(ROOT + root):
            path = real[len(ROOT) :]
            if not any(path == e or path.startswith(e.rstrip("/") + "/") for e in exclude):
                found[path] = line_of(real)
    return found


def walk(top: str) -> list[str]:
    found = [top] if os.path.lexists(top) else []
    for directory, directories, files in os.walk(top):
        found += [os.path.join(directory, name) for name in directories + files]
    return found


def line_of(real: str) -> str:
    about = os.lstat(real)
    head = f"{stat.filemode(about.st_mode)} {about.st_uid}:{about.st_gid}"
    if stat.S_ISLNK(about.st_mode):
        return f"{head} -> {os.readlink(real)}"
    if not stat.S_ISREG(about.st_mode):
        return head
    digest = hashlib.sha256()
    with open(real, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    names = "".join(f" {k}={v}" for k, v in xattrs_of(real).items())
    return f"{head} sha256:{digest.hexdigest()}{names}"


def main(request: State) -> None:
    answer: State
    try:
        if request["op"] == "capture":
            answer = {
                "paths": {path: state_of(path) for path in request["paths"]},
                "units": {unit: unit_state(unit) for unit in request["units"]},
            }
        elif request["op"] == "apply":
            for operation in request["operations"]:
                act(operation)
            answer = {}
        elif request["op"] == "restore":
            answer = restore(request["paths"], request["units"])
        else:
            answer = {"manifest": manifest(request["roots"], request["exclude"])}
    except (OSError, ValueError, subprocess.SubprocessError) as err:
        answer = {"error": str(err)}
    print(json.dumps(answer))

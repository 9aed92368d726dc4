"""`python3 -m cka_kubelet.controlplane.images`: the control plane's container images, made on the node itself.

No registry and no compiler: Python and its libraries are taken from where the distribution put them, compiled without
docstrings; etcd comes from Debian's package. All images share their layers, so that importing them takes little.
"""

import argparse
import importlib.util
import marshal
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from cka_kubelet.kube import ociimage, staticpods
from cka_kubelet.kube.ociimage import Entry, Image

_ENTRY = {
    "kube-apiserver": "kube_apiserver",
    "kube-controller-manager": "kube_controller_manager",
    "kube-scheduler": "kube_scheduler",
}
"""Program → its module below cka_kubelet.controlplane."""
_LIBRARIES = ("python3-h11", "python3-h2", "python3-hpack", "python3-hyperframe", "python3-yaml")
_UNUSED = re.compile(
    r"(?:test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|distutils|unittest|venv|curses|dbm|config-.*"
    r"|__pycache__|dist-packages|site-packages)(?:/|\Z)"
)
_NODE_HALF = ("__init__.py", "clock.py", "kube", "cri", "controlplane")
_ENVIRONMENT = (
    ociimage.PATH,
    "MALLOC_ARENA_MAX=1",
    "MALLOC_TRIM_THRESHOLD_=65536",
    "MALLOC_MMAP_THRESHOLD_=65536",
)
_PROGRAM = """#!/usr/bin/python3 -sOO
from cka_kubelet.controlplane.{} import main
raise SystemExit(main())
"""
_ETCD_BEFORE_3_6 = """#!/bin/busybox sh
for flag do
  shift
  case $flag in
  --feature-gates=InitialCorruptCheck=*) flag=--experimental-initial-corrupt-check=${flag##*=} ;;
  --watch-progress-notify-interval=*) flag=--experimental-${flag#--} ;;
  esac
  set -- "$@" "$flag"
done
exec -a etcd /usr/libexec/etcd "$@"
"""
"""Both settings of kubeadm's manifest exist in etcd 3.5 too, under the names they had as experiments."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the archive; the exit status."""
    parser = argparse.ArgumentParser(prog="images", allow_abbrev=False)
    parser.add_argument("--etcd", type=Path, required=True, help="directory with etcd, etcdctl and etcdutl")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    images = [*python_images(arch), etcd_image(arch, options.etcd)]
    temporary = options.out.with_suffix(".new")
    temporary.write_bytes(ociimage.archive(images))
    temporary.replace(options.out)
    return 0


def python_images(arch: str) -> list[Image]:
    """One image for each of the three programs."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    layers = (ociimage.layer(_python(stdlib)), ociimage.layer(_node_half(Path(__file__).resolve().parents[1])))
    found = []
    for name, module in _ENTRY.items():
        program = ociimage.file(f"usr/local/bin/{name}", _PROGRAM.format(module).encode(), 0o755)
        settings = {"Cmd": [name], "Env": [*_ENVIRONMENT], "User": "0"}
        ref = staticpods.IMAGES[name]  # type: ignore[index]  # the keys of _ENTRY are components
        found.append(Image((ref,), arch, (*layers, ociimage.layer([program])), settings))
    return found


def etcd_image(arch: str, directory: Path) -> Image:
    """etcd with its clients. Raises OSError when a program is missing, ValueError for an etcd that is too old."""
    programs = [directory / name for name in ("etcd", "etcdctl", "etcdutl")]
    version = etcd_version(
        subprocess.run([programs[0], "--version"], capture_output=True, text=True, check=True).stdout
    )
    if version < (3, 5):
        raise ValueError("etcd before 3.5 has not what kubeadm's manifest needs")
    entries = [*_base(), *_libraries(programs)]
    for program in programs:
        place = "usr/libexec/etcd" if program.name == "etcd" and version < (3, 6) else f"usr/local/bin/{program.name}"
        entries.append(ociimage.file(place, program.read_bytes(), 0o755))
    if version < (3, 6):
        entries.append(ociimage.file("bin/busybox", Path("/usr/bin/busybox").read_bytes(), 0o755))
        entries.append(ociimage.file("usr/local/bin/etcd", _ETCD_BEFORE_3_6.encode(), 0o755))
    settings = {"Cmd": ["etcd"], "Env": [ociimage.PATH], "User": "0"}
    return Image((staticpods.IMAGES["etcd"],), arch, (ociimage.layer(with_parents(entries)),), settings)


def etcd_version(text: str) -> tuple[int, int]:
    """Major and minor of what `etcd --version` prints. Raises ValueError."""
    found = re.search(r"etcd Version: (\d+)\.(\d+)", text)
    if found is None:
        raise ValueError("etcd does not tell its version")
    return int(found[1]), int(found[2])


def with_parents(entries: Iterable[Entry]) -> list[Entry]:
    """The entries, each once, in order of their names, with every directory they lie in."""
    named: dict[str, Entry] = {info.name: (info, data) for info, data in entries}
    for name in list(named):
        for parent in [*Path(name).parents][:-1]:
            named.setdefault(str(parent), ociimage.directory(str(parent), 0o755))
    return [named[name] for name in sorted(named)]


def _base() -> list[Entry]:
    """What any program expects of a system."""
    return [
        ociimage.directory("tmp", 0o1777),
        ociimage.file("etc/passwd", ociimage.PASSWD, 0o644),
        ociimage.file("etc/group", ociimage.GROUP, 0o644),
        ociimage.file("etc/nsswitch.conf", b"hosts: files dns\n", 0o644),
    ]


def _python(stdlib: Path) -> list[Entry]:
    """The interpreter, its standard library, the packages from Debian, openssl."""
    interpreter = Path(sys.executable).resolve()
    openssl = Path("/usr/bin/openssl")
    entries = [*_base(), ociimage.file(str(interpreter)[1:], interpreter.read_bytes(), 0o755)]
    entries.append(ociimage.link("usr/bin/python3", interpreter.name))
    entries.append(ociimage.file(str(openssl)[1:], openssl.read_bytes(), 0o755))
    configuration = Path("/etc/ssl/openssl.cnf")
    if configuration.exists():
        entries.append(ociimage.file("etc/ssl/openssl.cnf", configuration.read_bytes(), 0o644))
        entries.append(ociimage.link("usr/lib/ssl/openssl.cnf", "/etc/ssl/openssl.cnf"))
    files = {path: str(path)[1:] for path in _below(stdlib)}
    listed = subprocess.run(["dpkg", "-L", *_LIBRARIES], capture_output=True, text=True, check=False).stdout
    files |= {Path(line): line[1:] for line in listed.split("\n") if "/dist-packages/" in line and "/__py" not in line}
    modules = {path: name for path, name in files.items() if path.is_file()}
    entries += _modules(modules)
    shared = [path for path in modules if path.suffix == ".so"]
    return with_parents([*entries, *_libraries([interpreter, openssl, *shared])])


def _node_half(package: Path) -> list[Entry]:
    place = "usr/lib/python3/dist-packages/cka_kubelet"
    files: dict[Path, str] = {}
    for name in _NODE_HALF:
        root = package / name
        for path in _below(root) if root.is_dir() else [root]:
            files[path] = f"{place}/{path.relative_to(package)}"
    return with_parents(_modules(files))


def _below(directory: Path) -> Iterator[Path]:
    for root, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not _UNUSED.match(name))
        yield from (Path(root, name) for name in names if not name.endswith((".pyc", ".a")))


def _modules(files: Mapping[Path, str]) -> Iterator[Entry]:
    """Sources become compiled modules beside which no source is needed; everything else stays as it is."""
    for path, name in files.items():
        data = path.read_bytes()
        if path.suffix == ".py":
            code = compile(data, f"/{name}", "exec", dont_inherit=True, optimize=2)
            data = importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code)
            name += "c"
        yield ociimage.file(name, data, 0o644)


_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def _libraries(programs: Sequence[Path]) -> Iterator[Entry]:
    """Every shared library that these programs load, where the loader looks for it."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    for path in sorted(set(_LIBRARY.findall(said))):
        yield ociimage.file(path[1:], Path(path).read_bytes(), 0o755)


if __name__ == "__main__":
    raise SystemExit(main())

"""Figures of one cgroup, on v1 and v2, as cAdvisor reads them. Seconds and bytes."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
UNLIMITED = 1 << 62
"""Limits above this mean "none" (the kernel rounds the highest number down to a page)."""

Values = dict[str, float]


def table(text: str) -> dict[str, int]:
    """`name value` lines. Pure."""
    found = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[1].lstrip("-").isdigit():
            found[fields[0]] = int(fields[1])
    return found


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.lstrip("-").isdigit() else None


class CgroupReader:
    """Reads below `root`; `path` is a cgroup's name, "/" the whole machine's."""

    def __init__(self, version: int, root: Path = ROOT) -> None:
        self.v2 = version == 2
        self._root = root

    def _at(self, controller: str, path: str) -> Path:
        base = self._root if self.v2 else self._root / controller
        return base / path.strip("/")

    def below(self, path: str) -> Iterator[str]:
        """The cgroup and all below it, by name."""
        base = self._at("memory", "/")
        top = self._at("memory", path)
        if top.is_dir():
            for folder in [top, *sorted(p for p in top.rglob("*") if p.is_dir())]:
                yield f"/{folder.relative_to(base)}"

    def born(self, path: str) -> float:
        """When it was made, seconds since the epoch; 0 when it is gone."""
        with suppress(OSError):
            return self._at("memory", path).stat().st_ctime
        return 0.0

    def processes(self, path: str) -> list[int]:
        """The processes directly in it."""
        text = _text(self._at("pids", path) / "cgroup.procs")
        return [int(line) for line in text.splitlines() if line.isdigit()]

    def tasks(self, path: str) -> tuple[int, int]:
        """(tasks in it, most there may be; 0 for no limit)."""
        folder = self._at("pids", path)
        return _number(folder / "pids.current") or 0, _number(folder / "pids.max") or 0

    def cpu(self, path: str) -> Values:
        """usage, user, system; and periods, throttled, throttled_seconds, burst(s) where there is a quota."""
        stat = table(_text(self._at("cpu", path) / "cpu.stat"))
        if self.v2:
            found = {name: stat.get(f"{name}_usec", 0) / 1e6 for name in ("usage", "user", "system")}
            throttled, burst = stat.get("throttled_usec", 0) / 1e6, stat.get("burst_usec", 0) / 1e6
        else:
            folder = self._at("cpuacct", path)
            files = {"usage": "cpuacct.usage", "user": "cpuacct.usage_user", "system": "cpuacct.usage_sys"}
            found = {name: (_number(folder / file) or 0) / 1e9 for name, file in files.items()}
            throttled, burst = stat.get("throttled_time", 0) / 1e9, stat.get("burst_time", 0) / 1e9
        found |= {"periods": stat.get("nr_periods", 0), "throttled": stat.get("nr_throttled", 0)}
        return found | {"throttled_seconds": throttled, "bursts": stat.get("nr_bursts", 0), "burst_seconds": burst}

    def cpu_spec(self, path: str) -> Values:
        """shares, period, and quota where there is one."""
        folder = self._at("cpu", path)
        if self.v2:
            weight = _number(folder / "cpu.weight") or 0
            quota, _, period = _text(folder / "cpu.max").partition(" ")
            shares = 2 + (weight - 1) * 262142 // 9999 if weight else 0
        else:
            shares = _number(folder / "cpu.shares") or 0
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        found: Values = {"shares": shares, "period": int(period or 0)}
        return found | ({"quota": int(quota)} if quota.isdigit() else {})

    def memory(self, path: str) -> Values:
        """usage, working_set, cache, rss, swap, mapped_file, kernel, max_usage, failcnt, faults, file pages, limit."""
        folder = self._at("memory", path)
        stat = table(_text(folder / "memory.stat"))
        usage = _number(folder / ("memory.current" if self.v2 else "memory.usage_in_bytes"))
        if usage is None:
            usage = stat.get("anon", 0) + stat.get("file", 0)
        names = {
            "cache": ("file", "total_cache"), "rss": ("anon", "total_rss"),
            "mapped_file": ("file_mapped", "total_mapped_file"), "active_file": ("active_file", "total_active_file"),
            "inactive_file": ("inactive_file", "total_inactive_file"), "faults": ("pgfault", "total_pgfault"),
            "major_faults": ("pgmajfault", "total_pgmajfault"), "own_faults": ("pgfault", "pgfault"),
            "own_major_faults": ("pgmajfault", "pgmajfault"), "swap": ("swap", "total_swap"), "kernel": ("kernel", ""),
        }  # fmt: skip
        found: Values = {name: stat.get(pair[not self.v2], 0) for name, pair in names.items()}
        found |= {"usage": usage, "working_set": max(0, usage - int(found["inactive_file"]))}
        return found | (self._memory_v2(folder) if self.v2 else self._memory_v1(folder))

    def _memory_v1(self, folder: Path) -> Values:
        files = {
            "max_usage": "memory.max_usage_in_bytes", "failcnt": "memory.failcnt",
            "kernel": "memory.kmem.usage_in_bytes", "limit": "memory.limit_in_bytes",
            "reservation": "memory.soft_limit_in_bytes",
            "swap_limit": "memory.memsw.limit_in_bytes",
        }  # fmt: skip
        found: Values = {name: _number(folder / file) or 0 for name, file in files.items()}
        oom = table(_text(folder / "memory.oom_control"))
        return _bounded(found) | {"oom_kills": oom.get("oom_kill", 0)}

    def _memory_v2(self, folder: Path) -> Values:
        files = {
            "max_usage": "memory.peak", "limit": "memory.max", "reservation": "memory.low",
            "swap_limit": "memory.swap.max", "swap": "memory.swap.current",
        }  # fmt: skip
        found: Values = {name: _number(folder / file) or 0 for name, file in files.items()}
        events = table(_text(folder / "memory.events"))
        return _bounded(found) | {"failcnt": events.get("max", 0), "oom_kills": events.get("oom_kill", 0)}

    def io(self, path: str) -> dict[str, Values]:
        """By device `major:minor`: read_bytes, write_bytes, reads, writes."""
        found: dict[str, Values] = {}
        if self.v2:
            for line in _text(self._at("io", path) / "io.stat").splitlines():
                device, *pairs = line.split()
                values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
                keys = {"read_bytes": "rbytes", "write_bytes": "wbytes", "reads": "rios", "writes": "wios"}
                found[device] = {name: float(values.get(key, 0)) for name, key in keys.items()}
            return found
        for file, kind in (("io_service_bytes", "bytes"), ("io_serviced", "count")):
            for line in _text(self._at("blkio", path) / f"blkio.throttle.{file}_recursive").splitlines():
                fields = line.split()
                if len(fields) == 3 and fields[1] in ("Read", "Write"):
                    name = fields[1].lower() + ("_bytes" if kind == "bytes" else "s")
                    found.setdefault(fields[0], {})[name] = float(fields[2])
        return found

    def pressure_text(self, path: str, resource: str) -> str:
        """The pressure file of cpu, memory or io; "" on v1 and where the kernel keeps none."""
        return _text(self._at("", path) / f"{resource}.pressure") if self.v2 else ""

    def pressure(self, path: str) -> Values:
        """cpu, memory and io: seconds `waiting` (some) and `stalled` (full), e.g. `cpu_waiting`; v2 only."""
        found: Values = {}
        for resource in ("cpu", "memory", "io") if self.v2 else ():
            for line in self.pressure_text(path, resource).splitlines():
                kind, *pairs = line.split()
                total = next((pair[6:] for pair in pairs if pair.startswith("total=")), "0")
                found[f"{resource}_{'waiting' if kind == 'some' else 'stalled'}"] = int(total) / 1e6
        return found


def _bounded(found: Values) -> Values:
    return {name: 0 if value >= UNLIMITED else value for name, value in found.items()}

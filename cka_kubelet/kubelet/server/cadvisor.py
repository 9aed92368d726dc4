"""/metrics/cadvisor: cgroups, networks and the machine under cAdvisor's names (google/cadvisor metrics/)."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cka_kubelet.kube.exposition import Sample, family
from cka_kubelet.kubelet import system
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.server.cgroupstats import CgroupReader, Values

Labels = Mapping[str, str]

_MEMORY = {
    "container_memory_cache": ("gauge", "cache", "Number of bytes of page cache memory."),
    "container_memory_failcnt": ("counter", "failcnt", "Number of memory usage hits limits"),
    "container_memory_kernel_usage": ("gauge", "kernel", "Size of kernel memory allocated in bytes."),
    "container_memory_mapped_file": ("gauge", "mapped_file", "Size of memory mapped files in bytes."),
    "container_memory_max_usage_bytes": ("gauge", "max_usage", "Maximum memory usage recorded in bytes"),
    "container_memory_rss": ("gauge", "rss", "Size of RSS in bytes."),
    "container_memory_swap": ("gauge", "swap", "Container swap usage in bytes."),
    "container_memory_total_active_file_bytes": ("gauge", "active_file", "Current total active file in bytes."),
    "container_memory_total_inactive_file_bytes": ("gauge", "inactive_file", "Current total inactive file in bytes."),
    "container_memory_usage_bytes": (
        "gauge", "usage", "Current memory usage in bytes, including all memory regardless of when it was accessed",
    ),
    "container_memory_working_set_bytes": ("gauge", "working_set", "Current working set in bytes."),
    "container_oom_events_total": ("counter", "oom_kills", "Count of out of memory events observed for the container"),
}  # fmt: skip
_MEMORY_SPEC = {
    "container_spec_memory_limit_bytes": ("limit", "Memory limit for the container."),
    "container_spec_memory_reservation_limit_bytes": ("reservation", "Memory reservation limit for the container."),
    "container_spec_memory_swap_limit_bytes": ("swap_limit", "Memory swap limit for the container."),
}
_CPU = {
    "container_cpu_system_seconds_total": ("system", "Cumulative system cpu time consumed in seconds."),
    "container_cpu_user_seconds_total": ("user", "Cumulative user cpu time consumed in seconds."),
}
_CFS = {
    "container_cpu_cfs_burst_periods_total": ("bursts", "Number of periods when burst occurs."),
    "container_cpu_cfs_burst_seconds_total": ("burst_seconds", "Total time duration the container has been bursted."),
    "container_cpu_cfs_periods_total": ("periods", "Number of elapsed enforcement period intervals."),
    "container_cpu_cfs_throttled_periods_total": ("throttled", "Number of throttled period intervals."),
    "container_cpu_cfs_throttled_seconds_total": (
        "throttled_seconds", "Total time duration the container has been throttled.",
    ),
}  # fmt: skip
_CPU_SPEC = {
    "container_spec_cpu_period": ("period", "CPU period of the container."),
    "container_spec_cpu_quota": ("quota", "CPU quota of the container."),
    "container_spec_cpu_shares": ("shares", "CPU share of the container."),
}
_PRESSURE = {
    f"container_pressure_{resource}_{kind}_seconds_total": (f"{resource}_{kind}", text.format(name))
    for resource, name in (("cpu", "CPU"), ("memory", "memory"), ("io", "IO"))
    for kind, text in (
        ("stalled", "Total time duration no tasks in the container could make progress due to {} congestion."),
        ("waiting", "Total time duration tasks in the container have waited due to {} congestion."),
    )
}
_IO = {
    "container_fs_reads_bytes_total": ("read_bytes", "Cumulative count of bytes read"),
    "container_fs_reads_total": ("reads", "Cumulative count of reads completed"),
    "container_fs_writes_bytes_total": ("write_bytes", "Cumulative count of bytes written"),
    "container_fs_writes_total": ("writes", "Cumulative count of writes completed"),
}
_DISKS: dict[str, tuple[str, int, float, str]] = {
    "container_fs_io_current": ("gauge", 11, 1, "Number of I/Os currently in progress"),
    "container_fs_io_time_seconds_total": ("counter", 12, 1e3, "Cumulative count of seconds spent doing I/Os"),
    "container_fs_io_time_weighted_seconds_total": ("counter", 13, 1e3, "Cumulative weighted I/O time in seconds"),
    "container_fs_read_seconds_total": ("counter", 6, 1e3, "Cumulative count of seconds spent reading"),
    "container_fs_reads_merged_total": ("counter", 4, 1, "Cumulative count of reads merged"),
    "container_fs_sector_reads_total": ("counter", 5, 1, "Cumulative count of sector reads completed"),
    "container_fs_sector_writes_total": ("counter", 9, 1, "Cumulative count of sector writes completed"),
    "container_fs_write_seconds_total": ("counter", 10, 1e3, "Cumulative count of seconds spent writing"),
    "container_fs_writes_merged_total": ("counter", 8, 1, "Cumulative count of writes merged"),
}
_DISK_COUNTS = {"container_fs_reads_total": 3, "container_fs_writes_total": 7}
_NETWORK = {
    "container_network_receive_bytes_total": (0, "Cumulative count of bytes received"),
    "container_network_receive_errors_total": (2, "Cumulative count of errors encountered while receiving"),
    "container_network_receive_packets_dropped_total": (3, "Cumulative count of packets dropped while receiving"),
    "container_network_receive_packets_total": (1, "Cumulative count of packets received"),
    "container_network_transmit_bytes_total": (8, "Cumulative count of bytes transmitted"),
    "container_network_transmit_errors_total": (10, "Cumulative count of errors encountered while transmitting"),
    "container_network_transmit_packets_dropped_total": (11, "Cumulative count of packets dropped while transmitting"),
    "container_network_transmit_packets_total": (9, "Cumulative count of packets transmitted"),
}


class Group(NamedTuple):
    """One cgroup to be shown. `pid`: a process in the network namespace that is its own, or 0."""

    path: str
    labels: Labels
    pid: int


def groups(reader: CgroupReader, statuses: Iterable[rs.PodStatus], top: str, extra: Iterable[str]) -> list[Group]:
    """The machine, everything below the pods' cgroup `top`, and `extra` ones; containers labelled as upstream's."""
    known: dict[str, tuple[rs.PodStatus, str, str]] = {}
    pods = {}
    for status in statuses:
        pods[status.uid.replace("-", "_")] = pods[status.uid] = status
        known |= {c.id: (status, c.name, c.image or "") for c in status.running()}
        known |= {s.id: (status, "", "") for s in status.sandboxes if s.ready}
    found = [Group("/", _labels("/"), 1)]
    found += [Group(path, _labels(path), 0) for path in extra if reader.born(path)]
    for path in reader.below(top):
        leaf = path.rsplit("/", 1)[-1].removesuffix(".scope").rpartition("-")[2]
        if leaf in known:
            status, name, image = known[leaf]
            processes = reader.processes(path) if not name else []
            found.append(Group(path, _labels(path, status, name, image, leaf), processes[0] if processes else 0))
        else:
            uid = path.rsplit("pod", 1)[-1].removesuffix(".slice")
            found.append(Group(path, _labels(path, pods.get(uid)), 0))
    return found


def _labels(
    path: str, status: rs.PodStatus | None = None, container: str = "", image: str = "", name: str = ""
) -> Labels:
    namespace, pod = (status.namespace, status.name) if status else ("", "")
    return {"container": container, "id": path, "image": image, "name": name, "namespace": namespace, "pod": pod}


def render(reader: CgroupReader, shown: list[Group], filesystems: Mapping[str, system.Filesystem]) -> str:
    """The whole page. `filesystems` by device name, for the machine."""
    now = int(time.time() * 1000)
    page = _version()
    page += _cpu_families(reader, shown, now) + _memory_families(reader, shown, now)
    page += _io_families(reader, shown, set(filesystems), now) + _filesystem_families(filesystems, now)
    page += _network_families(shown, now) + _process_families(reader, shown, now)
    page += _families(_PRESSURE, shown, lambda g: reader.pressure(g.path), "counter", now)
    seen, born = time.time(), "Start time of the container since unix epoch in seconds."
    page += _gauge(
        "container_last_seen", "Last time a container was seen by the exporter", shown, lambda _g: int(seen), now
    )
    page += _gauge("container_start_time_seconds", born, shown, lambda g: int(reader.born(g.path)), None)
    text = "1 if there was an error while getting container metrics, 0 otherwise"
    return page + family("container_scrape_error", "gauge", text, [Sample({}, 0)]) + machine()


def _gauge(name: str, text: str, shown: list[Group], value: Callable[[Group], float], at: int | None) -> str:
    return family(name, "gauge", text, [Sample(group.labels, value(group), at) for group in shown])


def _families(
    names: Mapping[str, tuple[str, str]], shown: list[Group], read: Callable[[Group], Values], kind: str, at: int | None
) -> str:
    values = [(group.labels, read(group)) for group in shown]
    return "".join(
        family(name, kind, text, [Sample(labels, found[key], at) for labels, found in values if key in found])
        for name, (key, text) in names.items()
    )


def _cpu_families(reader: CgroupReader, shown: list[Group], now: int) -> str:
    used = {group.path: reader.cpu(group.path) for group in shown}
    limited = [group for group in shown if "quota" in reader.cpu_spec(group.path)]
    total = [Sample({**group.labels, "cpu": "total"}, used[group.path]["usage"], now) for group in shown]
    return (
        family("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.", total)
        + _families(_CPU, shown, lambda g: used[g.path], "counter", now)
        + _families(_CFS, limited, lambda g: used[g.path], "counter", now)
        + _families(_CPU_SPEC, shown, lambda g: reader.cpu_spec(g.path), "gauge", None)
    )


def _memory_families(reader: CgroupReader, shown: list[Group], now: int) -> str:
    values = {group.path: reader.memory(group.path) for group in shown}
    page = ""
    for name, (kind, key, text) in _MEMORY.items():
        page += family(name, kind, text, [Sample(g.labels, values[g.path].get(key, 0), now) for g in shown])
    faults = [
        Sample({**group.labels, "failure_type": kind, "scope": scope}, values[group.path][key], now)
        for group in shown
        for kind, scope, key in (
            ("pgfault", "container", "own_faults"), ("pgmajfault", "container", "own_major_faults"),
            ("pgfault", "hierarchy", "faults"), ("pgmajfault", "hierarchy", "major_faults"),
        )
    ]  # fmt: skip
    page += family(
        "container_memory_failures_total", "counter", "Cumulative count of memory allocation failures.", faults
    )
    return page + _families(_MEMORY_SPEC, shown, lambda g: values[g.path], "gauge", None)


def _io_families(reader: CgroupReader, shown: list[Group], shown_on: Iterable[str], now: int) -> str:
    devices, root = _devices(), _labels("/")
    lines = (line.split() for line in system.read_text("/proc/diskstats").splitlines())
    disks = [(f"/dev/{fields[2]}", fields) for fields in lines if len(fields) > 13]
    values = [
        (group, devices.get(number, ""), found) for group in shown for number, found in reader.io(group.path).items()
    ]
    page = ""
    for name, (key, text) in _IO.items():
        samples = [
            Sample({**g.labels, "device": device}, v[key], now) for g, device, v in values if key in v and device
        ]
        if name in _DISK_COUNTS:  # of the machine cAdvisor also tells what its file systems' devices did
            samples += [
                Sample({**root, "device": d}, int(f[_DISK_COUNTS[name]]), now) for d, f in disks if d in shown_on
            ]
        page += family(name, "counter", text, samples)
    return page


def _devices() -> dict[str, str]:
    lines = (line.split() for line in system.read_text("/proc/diskstats").splitlines())
    return {f"{fields[0]}:{fields[1]}": f"/dev/{fields[2]}" for fields in lines if len(fields) > 2}


def _filesystem_families(filesystems: Mapping[str, system.Filesystem], now: int) -> str:
    root = _labels("/")
    kinds: dict[str, tuple[str, Callable[[system.Filesystem], int]]] = {
        "container_fs_inodes_free": ("Number of available Inodes", lambda f: f.inodes_free),
        "container_fs_inodes_total": ("Number of Inodes", lambda f: f.inodes),
        "container_fs_limit_bytes": (
            "Number of bytes that can be consumed by the container on this filesystem.", lambda f: f.capacity,
        ),
        "container_fs_usage_bytes": (
            "Number of bytes that are consumed by the container on this filesystem.",
            lambda f: f.capacity - f.available,
        ),
    }  # fmt: skip
    page = ""
    for name, (text, value) in kinds.items():
        samples = [Sample({**root, "device": device}, value(found), now) for device, found in filesystems.items()]
        page += family(name, "gauge", text, samples)
    lines = [line.split() for line in system.read_text("/proc/diskstats").splitlines()]
    disks = [fields for fields in lines if len(fields) > 13 and not fields[2].startswith(("loop", "ram"))]
    for name, (kind, column, unit, text) in _DISKS.items():
        samples = [Sample({**root, "device": f"/dev/{d[2]}"}, int(d[column]) / unit, now) for d in disks]
        page += family(name, kind, text, samples)
    return page


def _network_families(shown: list[Group], now: int) -> str:
    rows = []
    for group in shown:
        text = system.read_text(f"/proc/{group.pid}/net/dev") if group.pid else ""
        for line in text.splitlines()[2:]:
            name, _, rest = line.partition(":")
            if name.strip() != "lo" and not name.strip().startswith("veth"):
                rows.append(({**group.labels, "interface": name.strip()}, rest.split()))
    return "".join(
        family(name, "counter", text, [Sample(labels, int(fields[column]), now) for labels, fields in rows])
        for name, (column, text) in _NETWORK.items()
    )


def _process_families(reader: CgroupReader, shown: list[Group], now: int) -> str:
    inner = [group for group in shown if group.path != "/"]
    processes = {group.path: reader.processes(group.path) for group in inner}
    tasks = {group.path: reader.tasks(group.path) for group in inner}
    files = {path: [_descriptors(pid) for pid in pids] for path, pids in processes.items()}
    names = {
        "container_file_descriptors": "Number of open file descriptors for the container.",
        "container_processes": "Number of processes running inside the container.",
        "container_sockets": "Number of open sockets for the container.",
        "container_threads": "Number of threads running inside the container",
        "container_threads_max": ("Maximum number of threads allowed inside the container, infinity if value is zero"),
    }
    values: dict[str, dict[str, float]] = {
        path: {
            "container_file_descriptors": sum(opened for opened, _ in files[path]),
            "container_processes": len(pids),
            "container_sockets": sum(sockets for _, sockets in files[path]),
            "container_threads": tasks[path][0],
            "container_threads_max": tasks[path][1],
        }
        for path, pids in processes.items()
    }
    rows = {name: (name, text) for name, text in names.items()}
    return _families(rows, inner, lambda group: values[group.path], "gauge", now)


def _descriptors(pid: int) -> tuple[int, int]:
    """(open files, sockets among them) of a process."""
    count = sockets = 0
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            count += 1
            with suppress(OSError):
                sockets += str(Path(entry.path).readlink()).startswith("socket:")
    return count, sockets


def _version() -> str:
    labels = {
        "cadvisorRevision": "", "cadvisorVersion": "", "dockerVersion": "",
        "kernelVersion": os.uname().release, "osVersion": system.os_image(),
    }  # fmt: skip
    text = (
        "A metric with a constant '1' value labeled by kernel version, OS version, docker version, cadvisor version & "
        "cadvisor revision."
    )
    return family("cadvisor_version_info", "gauge", text, [Sample(labels, 1)])


def machine() -> str:
    """The machine_* families."""
    who = system.identity()
    labels = {"boot_id": who["bootID"], "machine_id": who["machineID"], "system_uuid": who["systemUUID"]}
    blocks = [dict(_pairs(block)) for block in system.read_text("/proc/cpuinfo").split("\n\n")]
    cores = {(b.get("physical id", "0"), b.get("core id", b.get("processor", ""))) for b in blocks if "processor" in b}
    sockets = {socket for socket, _ in cores}
    swap = sum(int(line.split()[2]) * 1024 for line in system.swap_devices().splitlines()[1:])
    rows = (
        ("machine_cpu_cores", "Number of logical CPU cores.", system.cpu_count()),
        ("machine_cpu_physical_cores", "Number of physical CPU cores.", len(cores)),
        ("machine_cpu_sockets", "Number of CPU sockets.", len(sockets)),
        ("machine_memory_bytes", "Amount of memory installed on the machine.", system.memory().total),
        ("machine_swap_bytes", "Amount of swap memory available on the machine.", swap),
    )
    page = "".join(family(name, "gauge", text, [Sample(labels, value)]) for name, text, value in rows)
    nodes = []
    for folder in sorted(Path("/sys/devices/system/node").glob("node[0-9]*")):
        text = system.read_text(f"{folder}/meminfo")
        total = next((int(line.split()[3]) * 1024 for line in text.splitlines() if "MemTotal:" in line), 0)
        nodes.append(Sample({**labels, "node_id": folder.name.removeprefix("node")}, total))
    text = "Amount of memory assigned to NUMA node."
    page += family("machine_node_memory_capacity_bytes", "gauge", text, nodes)
    text = "1 if there was an error while getting machine metrics, 0 otherwise."
    return page + family("machine_scrape_error", "gauge", text, [Sample({}, 0)])


def _pairs(block: str) -> Iterable[tuple[str, str]]:
    for line in block.splitlines():
        name, _, value = line.partition(":")
        yield name.strip(), value.strip()

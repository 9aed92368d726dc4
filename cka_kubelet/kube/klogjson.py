"""Log lines of `logging.format: json` (component-base/logs/json): zap's keys in zap's order, one object a line.

`{"ts":1763694558813.995,"caller":"app/server.go:545","msg":"Kubelet version","v":0,"kubeletVersion":"v1.36.2"}`;
an error has no `v`, and `err` comes last.
"""

import json
from typing import Any

_FOLDERS = {
    "apiserver.go": "config",
    "auth.go": "server",
    "bootstrap.go": "bootstrap",
    "cadvisor_linux.go": "cadvisor",
    "certificate_manager.go": "certificate",
    "certificate_store.go": "certificate",
    "cgroup_manager_linux.go": "cm",
    "codec.go": "codec",
    "container_log_manager.go": "logs",
    "container_manager_linux.go": "cm",
    "controller.go": "lease",
    "cpu_manager.go": "cpumanager",
    "desired_state_of_world_populator.go": "populator",
    "dynamic_cafile_content.go": "dynamiccertificates",
    "dynamic_serving_content.go": "dynamiccertificates",
    "event.go": "record",
    "eviction_manager.go": "eviction",
    "factory.go": "container",
    "file.go": "config",
    "file_linux.go": "config",
    "flags.go": "flag",
    "fs_resource_analyzer.go": "stats",
    "generic.go": "pleg",
    "handlers.go": "lifecycle",
    "http.go": "config",
    "image_gc_manager.go": "images",
    "log.go": "log",
    "manager.go": "devicemanager",
    "memory_manager.go": "memorymanager",
    "mirror_client.go": "pod",
    "nodelease.go": "util",
    "nodeshutdown_manager_linux.go": "nodeshutdown",
    "plugin_manager.go": "pluginmanager",
    "pod_workers.go": "kubelet",
    "policy_none.go": "cpumanager",
    "policy_static.go": "cpumanager",
    "predicate.go": "lifecycle",
    "ratelimit.go": "apis",
    "reconciler.go": "reconciler",
    "reflector.go": "cache",
    "remote_image.go": "pkg",
    "remote_runtime.go": "pkg",
    "run.go": "cli",
    "server_v1.go": "podresources",
    "setters.go": "nodestatus",
    "state_mem.go": "state",
    "status_manager.go": "status",
    "swap_util.go": "swap",
    "tlsconfig.go": "dynamiccertificates",
    "topology_manager.go": "topologymanager",
    "transport.go": "certificate",
    "volume_manager.go": "volumemanager",
    "watchdog_linux.go": "watchdog",
}
_SERVER_LINES = frozenset({"193", "209", "260", "264", "334", "349", "354"})
"""Lines of server.go that are pkg/kubelet/server's; the others are cmd/kubelet/app's."""


def caller(source: str) -> str:
    """`file.go:LINE` with the package's folder before it."""
    name, _, line = source.partition(":")
    if name == "server.go":
        folder = "server" if line in _SERVER_LINES else "app"
    elif name.startswith("kubelet"):
        folder = "kubelet"
    elif name.startswith("kuberuntime"):
        folder = "kuberuntime"
    else:
        folder = _FOLDERS.get(name, name.removesuffix(".go"))
    return f"{folder}/{source}"


def _plain(value: object) -> object:
    fields = getattr(value, "json_fields", None)
    return fields() if fields is not None else str(value)


def entry(source: str, msg: str, level: int | None, pairs: dict[str, Any], now: float) -> str:
    """One line without its end. `level` is None for errors; `now` in seconds since the epoch."""
    fields: dict[str, Any] = {"ts": round(now * 1000, 4)}
    if "logger" in pairs:
        fields["logger"] = pairs["logger"]
    fields["caller"] = caller(source)
    fields["msg"] = msg
    if level is not None:
        fields["v"] = level
    fields.update((key, value) for key, value in pairs.items() if key not in ("err", "logger"))
    if "err" in pairs:
        fields["err"] = pairs["err"]
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, default=_plain)

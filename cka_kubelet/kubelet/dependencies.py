"""The seam between the kubelet's core and the pods' side: what the core lends to PodManager and KubeletServer.

The core builds one `Dependencies`, then `PodManager(deps)` and `KubeletServer(deps, pods)`, and starts them. From then
on: pods' side reads the node and services through the getters, reports health with `deps.runtime_state`, events with
`deps.recorder`, and ends the process through `deps.fatal`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cka_kubelet.clock import Clock
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.quantity import Quantity
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.events import EventRecorder
from cka_kubelet.kubelet.runtimestate import RuntimeState
from cka_kubelet.kubelet.servingtls import ServingTLS

Object = dict[str, Any]


@dataclass(slots=True)
class Dependencies:
    """One kubelet's collaborators.

    `api` is None in standalone mode. `node_ips`: the node's own addresses, best first (known before registration).
    `cgroup_driver`: systemd or cgroupfs, in force; `cgroup_version`: 1 or 2.
    `node_getter`: the Node from the informer's cache, None when not known. `node_synced`: set after its first list
    (API pods are watched only then). `registered`: set once the Node exists in the API.
    `services`, `runtime_classes`: current objects from the informers; `services_synced`: the first list is in.
    `allocatable`: what pods may use, by resource name; `pressure`: condition types now true (MemoryPressure, …).
    `serving`: TLS of :10250.
    `shutting_down`: whether the machine is about to go down, and no pod may start.
    `flag_values`: every command line flag as text.
    `fatal`: end the process with an exit code, at once, after the line that explains it was logged.
    """

    node_name: str
    hostname: str
    config: KubeletConfiguration
    cri: CRIClient
    image_cri: CRIClient
    api: APIClient | None
    recorder: EventRecorder
    clock: Clock
    runtime_state: RuntimeState
    root_dir: str
    cgroup_driver: str
    cgroup_version: int
    node_ref: Object
    fatal: Callable[[int], None]
    serving: ServingTLS | None = None
    node_ips: list[str] = field(default_factory=list)
    node_getter: Callable[[], Object | None] = lambda: None
    node_synced: asyncio.Event = field(default_factory=asyncio.Event)
    registered: asyncio.Event = field(default_factory=asyncio.Event)
    services: Callable[[], list[Object]] = list
    services_synced: Callable[[], bool] = lambda: True
    runtime_classes: Callable[[], list[Object]] = list
    allocatable: Callable[[], dict[str, Quantity]] = dict
    pressure: Callable[[], set[str]] = set
    shutting_down: Callable[[], bool] = bool
    flag_values: Callable[[], dict[str, str]] = dict
    runtime_name: str = "containerd"
    runtime_version: str = ""

    @property
    def node_ip(self) -> str:
        """The node's first address, "" when none is known."""
        return self.node_ips[0] if self.node_ips else ""

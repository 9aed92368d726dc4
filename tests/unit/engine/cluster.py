"""A cluster of two directories: an API server that believes what the units and leases say, and nothing else."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cka_kubelet.clock import FakeClock
from cka_kubelet.errors import NodeUnreachableError
from cka_kubelet.providers.base import NodeInfo
from cka_kubelet.remote.fake import FakeShell
from cka_kubelet.remote.kubeapi import Answer
from tests.unit.faults.nodes import CLUSTER, make_node

GRACE = 50.0


class FakeCluster:
    """`Cluster`. A node is Ready while its kubelet is active, Unknown once its lease is older than the grace period."""

    def __init__(self, root: Path, clock: FakeClock) -> None:
        self.id = CLUSTER
        self.clock = clock
        self.shells = {name: make_node(root / name, name) for name in ("controlplane", "node01")}
        self.nodes: Mapping[str, NodeInfo] = {
            "controlplane": NodeInfo("controlplane", "10.99.1.2", "127.0.0.1", 1, "control-plane"),
            "node01": NodeInfo("node01", "10.99.1.3", "127.0.0.1", 2, "worker"),
        }
        self.renewed = dict.fromkeys(self.shells, clock.now())
        self.since = dict.fromkeys(self.shells, clock.now())
        self.ready = dict.fromkeys(self.shells, "True")
        self.aged: list[str] = []
        self.reboots: list[str] = []
        self.down = False

    def shell(self, name: str) -> FakeShell:
        return self.shells[name]

    def reboot(self, name: str) -> None:
        self.reboots.append(name)
        self.clock.sleep(3)
        shell = self.shells[name]
        wants = shell.root / "etc/systemd/system/multi-user.target.wants"
        shell.set_units({unit: "active" if (wants / unit).is_symlink() else "inactive" for unit in shell.units()})

    def destroy(self) -> None:
        pass

    def _look(self) -> None:
        now = self.clock.now()
        for name, shell in self.shells.items():
            alive = shell.units().get("kubelet.service") == "active"
            if alive:
                self.renewed[name] = now
            ready = "True" if alive else "Unknown" if now - self.renewed[name] > GRACE else self.ready[name]
            if ready != self.ready[name]:
                self.ready[name], self.since[name] = ready, now

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        """`KubeAPI`."""
        if self.down:
            raise NodeUnreachableError("controlplane: connection refused")
        self._look()
        return Answer(200, self.clock.now() - 1, self._answer(method, path, body))

    def close(self) -> None:
        pass

    def _answer(self, method: str, path: str, body: Any) -> Any:
        name = path.rpartition("/")[2]
        if method == "PUT":
            self.renewed[name] = datetime.fromisoformat(body["spec"]["renewTime"]).timestamp()
            self.aged.append(name)
        elif method == "GET" and path == "/api/v1/nodes":
            return {"items": self._nodes()}
        elif path.endswith("/proxy/healthz"):
            return "ok" if self.ready[path.split("/")[4]] == "True" else "kubelet: connection refused"
        elif path == "/readyz":
            return "ok"
        elif "/configmaps" in path:
            return {"data": {"written": name}}
        elif method == "GET" and name == "leases":
            return {"items": self._leases()}
        elif method == "GET" and "/leases/" in path:
            return next(lease for lease in self._leases() if lease["metadata"]["name"] == name)
        elif method == "GET" and "/pods/" in path:
            status = {"phase": "Running", "podIP": "10.244.1.2", "conditions": [{"type": "Ready", "status": "True"}]}
            return {"spec": {"nodeName": "node01"}, "status": status}
        return {}

    def _nodes(self) -> list[dict[str, Any]]:
        messages = {"True": "kubelet is posting ready status", "Unknown": "Kubelet stopped posting node status."}
        return [
            {
                "metadata": {"name": name},
                "status": {
                    "conditions": [
                        {
                            "type": "Ready",
                            "status": ready,
                            "message": messages[ready],
                            "lastTransitionTime": _stamp(self.since[name]),
                        }
                    ]
                },
            }
            for name, ready in self.ready.items()
        ]

    def _leases(self) -> list[dict[str, Any]]:
        return [{"metadata": {"name": n}, "spec": {"renewTime": _stamp(t)}} for n, t in self.renewed.items()]


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

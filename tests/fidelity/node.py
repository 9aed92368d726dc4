"""One fault on a real node: prepare, apply, watch, record, undo.

Upstream was recorded on a cluster of one node, `node01`, with the control plane on it. So our control plane's own
kubelet is stopped and its Node deleted, and node01 is lent, while the bench runs, what a fault reaches for there: the
administrator's kubeconfig and the cluster CA's key.
"""

import json
from collections.abc import Mapping
from typing import Any

from cka_kubelet.clock import SystemClock, wait_until
from cka_kubelet.providers.base import Cluster
from cka_kubelet.remote.shell import Shell
from tests.fidelity import recording

NODE = "node01"
READY_SECONDS = 90.0

_KEPT = "/etc/kubernetes /etc/cni/net.d /etc/containerd /usr/lib/systemd/system/kubelet.service.d /var/lib/kubelet/pki"
_KEPT_FILES = "/usr/lib/systemd/system/kubelet.service /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env"
_SNAPSHOT = f"tar -C / -cf /root/fidelity.tar {_KEPT} {_KEPT_FILES}"
_UNDO = f"""
systemctl stop kubelet squat 2>/dev/null || true
rm -rf /var/lib/kubelet/cpu_manager_state /var/lib/kubelet/memory_manager_state
{{ find {_KEPT} -mindepth 1; ls {_KEPT_FILES} 2>/dev/null; }} | sort > /run/fidelity.now
tar -tf /root/fidelity.tar | sed 's#^#/#; s#/$##' | sort > /run/fidelity.then
comm -23 /run/fidelity.now /run/fidelity.then | xargs -r rm -rf
cp -a /etc/containerd/config.toml /run/fidelity.toml 2>/dev/null || true
ls /etc/cni/net.d > /run/fidelity.cni; cat /etc/cni/net.d/* >> /run/fidelity.cni 2>/dev/null || true
tar -C / -xf /root/fidelity.tar
systemctl daemon-reload
systemctl reset-failed kubelet containerd 2>/dev/null || true
ls /etc/cni/net.d > /run/fidelity.cni.now; cat /etc/cni/net.d/* >> /run/fidelity.cni.now
if ! cmp -s /etc/containerd/config.toml /run/fidelity.toml || ! cmp -s /run/fidelity.cni /run/fidelity.cni.now \\
        || [ "$(systemctl is-active containerd)" != active ]; then
    systemctl restart containerd
fi
"""


class FaultyNode:
    """node01 of `cluster`, made ready for faults on construction. Call `undo` after each."""

    def __init__(self, cluster: Cluster) -> None:
        self._control: Shell = cluster.shell("controlplane")
        self._node: Shell = cluster.shell(NODE)
        self._clock = SystemClock()
        self._control.script("systemctl stop kubelet; kubectl delete node controlplane --ignore-not-found")
        self._node.script(_SNAPSHOT)
        self._lend("/etc/kubernetes/admin.conf", "/root/.kube/config")
        self._lend("/etc/kubernetes/pki/ca.key", "/etc/kubernetes/pki/ca.key")

    def _lend(self, source: str, target: str) -> None:
        self._node.write_file(target, self._control.read_file(source), mode=0o600)

    def start_healthy(self) -> None:
        """Undo whatever was done, forget old pods and events, start the kubelet and wait until the node is Ready."""
        self._control.script("kubectl delete pods --all -A --force --grace-period=0", timeout=120)
        self._node.script(_UNDO, timeout=120)
        self._lend("/etc/kubernetes/pki/ca.key", "/etc/kubernetes/pki/ca.key")
        self._node.script("crictl rmp -af >/dev/null 2>&1 || true", timeout=120)
        self._control.script("kubectl delete events -A --all")
        self._node.run(["systemctl", "start", "kubelet"])
        if not wait_until(self._ready, READY_SECONDS, self._clock, every=0.5):
            raise TimeoutError(f"{NODE} is not Ready {READY_SECONDS:g} s after its kubelet started healthy")

    def _ready(self) -> bool:
        """Ready, without a taint, and with the healthy start's events written."""
        node = self._get("node", NODE)
        if recording.taints(node) or recording.conditions(node).get("Ready", {}).get("status") != "True":
            return False
        return {"Starting", "InvalidDiskCapacity", "NodeAllocatableEnforced"} <= {event[2] for event in self._events()}

    def observe(self, fault: str, seconds: float) -> dict[str, Any]:
        """Apply `fault` (a shell script, as root), watch for `seconds` after it, record. The node stays as it is."""
        before = self._events()
        cursor = self._node.run(["journalctl", "-u", "kubelet", "-n", "0", "--show-cursor"]).text.split("cursor: ")[1]
        self._node.run(["sh", "-c", fault], timeout=60, check=False)
        self._clock.sleep(seconds)
        return {**self._record(cursor.strip()), "events_before": before}

    def _record(self, cursor: str) -> dict[str, Any]:
        show = ["systemctl", "show", "kubelet", *(f"-p{name}" for name in recording.UNIT_PROPERTIES)]
        log = self._node.run(["journalctl", "-u", "kubelet", "--after-cursor", cursor, "-o", "json", "--all"])
        node = self._get("node", NODE)
        health = ["curl", "-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:10248/healthz"]
        return {
            "unit": recording.unit(self._node.run(show).text),
            "containerd_unit": self._node.run(["systemctl", "is-active", "containerd"], check=False).text.strip(),
            "journal": recording.journal(log.text.splitlines()),
            "conditions": recording.conditions(node),
            "taints": recording.taints(node),
            "events": self._events(),
            "pods": recording.pods(self._get("pods", "-A")["items"]),
            "healthz": self._node.run(health, check=False).text.strip(),
        }

    def _events(self) -> list[list[str]]:
        return recording.events(self._get("events", "-A")["items"])

    def _get(self, *words: str) -> Mapping[str, Any]:
        document: Mapping[str, Any] = json.loads(self._control.run(["kubectl", "get", *words, "-o", "json"]).text)
        return document

    def give_back(self) -> None:
        """Undo, and take back what was lent."""
        self._node.script(_UNDO + "rm -rf /root/.kube/config /etc/kubernetes/pki/ca.key; systemctl start kubelet")
        self._control.run(["systemctl", "start", "kubelet"])

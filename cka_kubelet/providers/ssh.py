"""Lab nodes on the user's own hosts: `--host user@address[:port]`, once or twice.

A host is touched only when it carries our marker or its user typed its name. What is there before the first change is
captured and stored on this machine; `destroy` puts all of it back and removes what was added.
"""

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cka_kubelet import paths
from cka_kubelet.clock import Clock, SystemClock, wait_until
from cka_kubelet.errors import NodeError, ProvisionError, RestoreError, UnsafeTargetError, UsageError
from cka_kubelet.kube.staticpods import ETCD_DATA
from cka_kubelet.providers import identity
from cka_kubelet.providers.base import SINGLE_NODE, NodeInfo, Progress
from cka_kubelet.providers.readiness import wait_for_ssh, wait_until_ready
from cka_kubelet.provision.files import MARKER
from cka_kubelet.provision.pki import NodeName, make_pki
from cka_kubelet.provision.plan import enabled_units
from cka_kubelet.provision.provisioner import label_control_plane, provision_cluster, touched_paths
from cka_kubelet.provision.spec import SERVICE_IP, ClusterSpec, ControlPlane, node_specs
from cka_kubelet.remote import nodestate
from cka_kubelet.remote.shell import Shell
from cka_kubelet.remote.ssh import SSHShell, SSHTarget, seen_host_key

Consent = Callable[[str, str], bool]
"""Asked with (host, host key fingerprint) before the first change; True only when the user typed the host's name."""

_HOST = re.compile(
    r"(?:(?P<user>[a-z_][a-z0-9_-]*)@)?(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(?::(?P<port>\d{1,5}))?\Z"
)
_ADDED = ("/opt/cka-kubelet", "/etc/cka-lab", "/var/lib/cka-control-plane", "/root/.kube/cache")
_DIRECTORIES = (
    "/etc/kubernetes/manifests", "/etc/kubernetes/pki/etcd", "/etc/kubernetes/pki",
    "/etc/kubernetes", "/root/.kube", "/opt/cni/bin", "/opt/cni",
    "/etc/cni/net.d", "/etc/cni", "/etc/containerd", "/usr/lib/systemd/system/kubelet.service.d",
    "/opt/containerd/bin", "/opt/containerd/lib", "/opt/containerd",
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec", "/usr/libexec/kubernetes/kubelet-plugins/volume",
    "/usr/libexec/kubernetes/kubelet-plugins", "/usr/libexec/kubernetes",
)  # fmt: skip
"""Removed when nothing else is in them."""


@dataclass(frozen=True)
class Host:
    """One `--host`."""

    user: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.user}@{self.address}" + ("" if self.port == 22 else f":{self.port}")


def parse_host(text: str) -> Host:
    """`user@address[:port]`; user root and port 22 when left out. Raises UsageError."""
    match = _HOST.match(text)
    if match is None or not 0 < int(match["port"] or 22) < 65536:
        raise UsageError(f"--host {text!r} is not user@address or user@address:port", "Example: --host root@10.0.0.5")
    return Host(match["user"] or "root", match["host"].strip("[]"), int(match["port"] or 22))


def fingerprint(host_key: str) -> str:
    """As `ssh-keygen -l` prints it."""
    digest = hashlib.sha256(base64.b64decode(host_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class SSHCluster:
    """The user's hosts as a cluster. With one host it is node01 and control plane at once. See `Cluster`."""

    def __init__(self, hosts: Sequence[Host], record: dict[str, Any], shells: Sequence[SSHShell], clock: Clock) -> None:
        self._record = record
        self._clock = clock
        self.id: str = record["id"]
        names = _names(len(hosts))
        self.nodes: dict[str, NodeInfo] = {
            name: NodeInfo(
                name, record["addresses"][name], host.address, host.port, "worker" if index else "control-plane"
            )
            for index, (name, host) in enumerate(zip(names, hosts, strict=True))
        }
        self._shells = dict(zip(names, shells, strict=True))

    def shell(self, name: str) -> SSHShell:
        if name == "controlplane" and name not in self._shells:
            return self._shells[SINGLE_NODE]
        return self._shells[name]

    def reboot(self, name: str) -> None:
        shell = self.shell(name)
        before = _boot(shell)
        shell.run(["systemctl", "reboot"], check=False)
        shell.close()

        def again() -> bool:
            try:
                return _boot(shell) != before
            except NodeError:
                shell.close()
                return False

        if not wait_until(again, 180, self._clock, every=1):
            raise NodeError(f"{name} did not come back within 180 s after its reboot", "Look at its console.")

    def destroy(self) -> None:
        """Put every host back as it was. Raises RestoreError with what could not be undone."""
        problems: list[str] = []
        for name, shell in self._shells.items():
            problems += [f"{name}: {line}" for line in _take_off(shell, self._record["before"][name])]
            shell.close()
        if problems:
            raise RestoreError(f"not everything was put back: {'; '.join(problems)}", "Mend that and run it again.")
        _record_path(self.id).unlink(missing_ok=True)


class SSHProvider:
    """See `Provider`."""

    def __init__(
        self,
        hosts: Sequence[str],
        consent: Consent,
        clock: Clock | None = None,
        control_plane: ControlPlane = "unit",
    ) -> None:
        if len(hosts) > 2:
            raise UsageError("--host can be given once or twice, not more", "A lab has one or two nodes.")
        self._hosts = [parse_host(host) for host in hosts]
        self._consent = consent
        self._control_plane: ControlPlane = control_plane
        self._clock = clock or SystemClock()
        self.id = _cluster_id(self._hosts)

    def acquire(self, progress: Progress) -> SSHCluster:
        record = _load(self.id)
        keys = dict(record["host_keys"]) if record else {}
        shells = [_connect(host, name, keys) for host, name in zip(self._hosts, _names(len(self._hosts)), strict=True)]
        for host, shell in zip(self._hosts, shells, strict=True):
            wait_for_ssh(shell, self._clock, seconds=1)
            self._require_permission(host, shell, keys[str(host)], record is not None)
        if record is not None and _runs(record) != self._control_plane:
            progress("nodes", "taking off the control plane of another kind")
            SSHCluster(self._hosts, record, shells, self._clock).destroy()
            record = None
        if record is None:
            record = self._record(shells, keys, progress)
        cluster = SSHCluster(self._hosts, record, shells, self._clock)
        spec = _spec(record)
        provision_cluster(spec, {node.name: cluster.shell(node.name) for node in spec.nodes}, progress)
        progress("nodes", "waiting until Ready")
        wait_until_ready(cluster.shell("controlplane"), list(cluster.nodes), None, self._clock)
        label_control_plane(cluster.shell("controlplane"), spec.control_plane.name)
        return cluster

    def existing(self) -> list[SSHCluster]:
        return [_recorded(record, self._clock)] if (record := _load(self.id)) else []

    def _require_permission(self, host: Host, shell: Shell, host_key: str, known: bool) -> None:
        """Raises UnsafeTargetError unless the host is ours already or its user consents. Changes nothing."""
        ours = Path("/etc/machine-id")
        theirs = shell.run(["cat", "/etc/machine-id"], check=False).text.strip()
        if ours.exists() and theirs and theirs == ours.read_text().strip():
            raise UnsafeTargetError(f"{host} is this very machine; labs never break the machine they are run from")
        if known and shell.run(["test", "-f", MARKER], check=False).ok:
            return
        if not self._consent(str(host), fingerprint(host_key)):
            raise UnsafeTargetError(
                f"{host} does not carry our marker and its name was not typed: nothing was touched",
                "A lab installs packages there and breaks things on purpose; use a host that is yours to lose.",
            )

    def _record(self, shells: Sequence[SSHShell], keys: dict[str, str], progress: Progress) -> dict[str, Any]:
        """Addresses, PKI and the state before the first change, stored here before anything is changed there."""
        names = _names(len(shells))
        addresses = {name: _own_address(shell) for name, shell in zip(names, shells, strict=True)}
        nodes = [NodeName(name, address) for name, address in addresses.items()]
        pki = make_pki(nodes[0], nodes, SERVICE_IP, datetime.now(UTC), etcd=self._control_plane == "static-pods")
        private, public = identity.new_ssh_key("root@lab")
        before: dict[str, Any] = {}
        record: dict[str, Any] = {
            "id": self.id, "host_keys": keys, "addresses": addresses, "node_key": private, "node_public_key": public,
            "pki": {name: data.decode() for name, data in pki.items()}, "before": before,
            "control_plane": self._control_plane,
        }  # fmt: skip
        spec = _spec(record)
        for node, shell in zip(spec.nodes, shells, strict=True):
            progress(node.name, "recording what is there now")
            units = [f"{unit}.service" for unit in enabled_units(spec, node) if unit != "ssh"]
            captured = nodestate.capture(shell, touched_paths(spec, node), units)
            if captured.paths.get(ETCD_DATA, {}).get("kind", "absent") != "absent":
                raise ProvisionError(
                    f"{node.name}: {ETCD_DATA} is there already", "A lab would put its own etcd there."
                )
            packages = shell.run(["dpkg-query", "-W", "-f", "${Package}\n"]).text.split()
            before[node.name] = {**captured.as_json(), "packages": packages}
        paths.write_private(_record_path(self.id), json.dumps(record).encode())
        return record


def known_clusters() -> list[SSHCluster]:
    """Every set of hosts that carries our nodes, by what is recorded here. Nothing is connected to."""
    records = (_load(path.stem) for path in sorted((paths.data_dir() / "hosts").glob("*.json")))
    return [_recorded(record, SystemClock()) for record in records if record]


def _recorded(record: dict[str, Any], clock: Clock) -> SSHCluster:
    hosts = [parse_host(host) for host in record["host_keys"]]
    names = _names(len(hosts))
    shells = [_connect(host, name, record["host_keys"]) for host, name in zip(hosts, names, strict=True)]
    return SSHCluster(hosts, record, shells, clock)


def _connect(host: Host, name: str, keys: dict[str, str]) -> SSHShell:
    """A shell whose host key is the recorded one, or at the very first meeting the one the user will be shown."""
    if str(host) not in keys:
        keys[str(host)] = seen_host_key(host.address, host.port)
    key_file, _ = identity.ssh_key()
    target = SSHTarget(host.address, host.port, host.user, key_file, keys[str(host)], sudo=host.user != "root")
    return SSHShell(name, target)


def _names(count: int) -> tuple[str, ...]:
    return (SINGLE_NODE,) if count == 1 else ("controlplane", "node01")


def _cluster_id(hosts: Sequence[Host]) -> str:
    text = " ".join(map(str, hosts))
    return f"{identity.installation_id()}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _record_path(cluster_id: str) -> Path:
    return paths.data_dir() / "hosts" / f"{cluster_id}.json"


def _load(cluster_id: str) -> dict[str, Any] | None:
    path = _record_path(cluster_id)
    if not path.exists():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except ValueError as err:
        raise RestoreError(f"{path} is damaged ({err})", "It holds how to undo what was done to the hosts.") from None
    return record


def _spec(record: dict[str, Any]) -> ClusterSpec:
    pki = {name: text.encode() for name, text in record["pki"].items()}
    return ClusterSpec(
        record["id"],
        node_specs(record["addresses"]),
        pki,
        record["node_key"],
        record["node_public_key"],
        own_hosts=True,
        control_plane_runs=_runs(record),
    )


def _runs(record: dict[str, Any]) -> ControlPlane:
    kind: ControlPlane = record.get("control_plane", "unit")
    return kind


def _own_address(shell: Shell) -> str:
    """The address the host uses towards others. Raises ProvisionError when it has none."""
    text = shell.run(["ip", "-4", "-json", "route", "get", "192.0.2.1"], check=False).text
    try:
        return str(json.loads(text)[0]["prefsrc"])
    except (ValueError, LookupError):
        raise ProvisionError(f"{shell.name} has no IPv4 address of its own", "A node needs one route.") from None


def _boot(shell: Shell) -> str:
    """Changes with every boot. A container host shares its machine's boot id, so the start of PID 1 counts too."""
    boot_id, pid1 = shell.run(["cat", "/proc/sys/kernel/random/boot_id", "/proc/1/stat"], timeout=10).text.split("\n")[
        :2
    ]
    return f"{boot_id} {pid1.rpartition(')')[2].split()[19]}"


def _take_off(shell: Shell, before: dict[str, Any]) -> list[str]:
    """Undo everything on one host; what could not be undone, one line each. Safe to repeat."""
    shell.script(_STOP, timeout=120, check=False)
    added = sorted(set(shell.run(["dpkg-query", "-W", "-f", "${Package}\n"]).text.split()) - set(before["packages"]))
    if added:
        purge = [
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "SUDO_FORCE_REMOVE=yes",
            "apt-get",
            "purge",
            "-y",
            "-qq",
            *added,
        ]
        result = shell.run(purge, timeout=300, check=False)
        if not result.ok:
            return [f"apt-get purge: {result.stderr.decode('utf-8', 'replace')[-200:]}"]
    if before["paths"].get(ETCD_DATA, {}).get("kind") == "absent":
        shell.run(["rm", "-rf", ETCD_DATA])
    there = {unit: state for unit, state in before["units"].items() if state["file"] not in ("", "absent", "not-found")}
    captured = nodestate.Captured(before["paths"], there)
    _, errors = nodestate.restore(shell, captured)
    empty = shlex.join(_DIRECTORIES)
    remove = f"rm -rf {shlex.join(_ADDED)}; rmdir --ignore-fail-on-non-empty {empty} 2>/dev/null || true"
    shell.script(f"{remove}; {_FORGET_BYTECODE}; systemctl daemon-reload", check=False)
    present = nodestate.capture(shell, list(captured.paths), list(captured.units))
    return [*errors, *nodestate.differences(captured, present)]


_FORGET_BYTECODE = "find /usr/lib/python3* -name '*.opt-2.pyc' -delete"
"""The node half runs with -OO; what that left in the distribution's own directories is a cache nobody else reads."""

_STOP = """
systemctl stop kubelet kube-apiserver 2>/dev/null || true
[ -x /usr/bin/crictl ] && crictl rmp -a -f >/dev/null 2>&1 || true
systemctl disable --quiet kubelet kube-apiserver pod-routes preload-images 2>/dev/null || true
systemctl stop pod-routes preload-images containerd 2>/dev/null || true
ip link delete cni0 2>/dev/null || true
rm -rf /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers
"""

"""Lab nodes as containers of this machine's Podman or Docker.

The first run boots two nodes from the base image, provisions them over SSH and commits each as an image named by a hash
of everything that went in. Later runs start from those images. Objects are found by label, never by a state file, so
whatever a killed run left is recognised and removed.
"""

import ipaddress
import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from cka_kubelet import paths
from cka_kubelet.clock import Clock, SystemClock, wait_until
from cka_kubelet.errors import EngineError, EnvironmentError_, ProvisionError
from cka_kubelet.providers import identity
from cka_kubelet.providers.base import NodeInfo, Progress
from cka_kubelet.providers.base_image import content_hash, ensure_base_image
from cka_kubelet.providers.doctor import MORE_INOTIFY
from cka_kubelet.providers.engine import LABEL, Engine, find_engine, with_working_runtime
from cka_kubelet.providers.identity import ClusterRecord, NodeRecord
from cka_kubelet.providers.install import ensure_engine
from cka_kubelet.providers.readiness import SSH_SECONDS, hurry, wait_for_ssh, wait_until_ready
from cka_kubelet.provision.inputs import inputs_hash
from cka_kubelet.provision.provisioner import label_control_plane, provision_cluster
from cka_kubelet.provision.spec import API_PORT, CONTROL_PLANES, SERVICE_IP, ClusterSpec, ControlPlane, node_specs
from cka_kubelet.remote.ssh import SSHShell, SSHTarget

NODES = ("controlplane", "node01")
_RUNS = f"{LABEL}.control-plane"
_SUBNETS = ("172.30.1.0/24", "10.30.1.0/24", "192.168.211.0/24", *(f"10.130.{n}.0/24" for n in range(11, 256, 10)))


_PODS_AT_REST = """
systemctl stop kubelet
crictl stop --timeout 10 $(crictl ps --quiet) >/dev/null
crictl rmp --all --force >/dev/null
rm -rf /var/log/pods/* /var/log/containers/*
"""
"""A node whose image is kept while its pods run would count each lab's start as their restart."""


class ContainerCluster:
    """Two running containers. See `Cluster`."""

    def __init__(self, engine: Engine, record: ClusterRecord, ports: Mapping[str, int], clock: Clock) -> None:
        self._engine = engine
        self._record = record
        self._clock = clock
        key_file, _ = identity.ssh_key()
        self.id = f"{identity.installation_id()}-{record.image_key}"
        self.nodes: dict[str, NodeInfo] = {
            name: NodeInfo(name, node.address, "127.0.0.1", ports[name], "worker" if index else "control-plane")
            for index, (name, node) in enumerate(record.nodes.items())
        }
        self._shells = {
            name: SSHShell(name, SSHTarget("127.0.0.1", ports[name], "root", key_file, record.nodes[name].host_key))
            for name in self.nodes
        }

    def shell(self, name: str) -> SSHShell:
        return self._shells[name]

    def reboot(self, name: str) -> None:
        self._shells[name].close()
        self._engine.run("restart", "--time", "5", container_name(name), timeout=60)
        shell = self._shells[name]
        wait_for_ssh(shell, self._clock)
        shell.run(["systemctl", "is-system-running", "--wait"], timeout=60, check=False)

    def destroy(self) -> None:
        for shell in self._shells.values():
            shell.close()
        remove_containers(self._engine)


def container_name(node: str) -> str:
    """The engine's name of a node of this installation."""
    return f"cka-{identity.installation_id()}-{node}"


def _network_name() -> str:
    return f"cka-{identity.installation_id()}"


def _image(node: str, key: str) -> str:
    return f"localhost/cka-kubelet-{identity.installation_id()}-{node}:{key}"


def remove_containers(engine: Engine) -> None:
    """Remove this installation's containers with their volumes. Safe to repeat."""
    names = engine.labelled("container", identity.installation_id())
    if names:
        engine.run("rm", "--force", "--volumes", *names, timeout=60)


class ContainerProvider:
    """See `Provider`. `engine` is found (or installed) when it is not given."""

    def __init__(
        self, engine: Engine | None = None, clock: Clock | None = None, control_plane: ControlPlane = "unit"
    ) -> None:
        self._engine = engine
        self._control_plane: ControlPlane = control_plane
        self._clock = clock or SystemClock()

    def acquire(self, progress: Progress) -> ContainerCluster:
        engine = self._engine or ensure_engine(progress)
        _, public_key = identity.ssh_key()
        records = {which: ClusterRecord.load(which) for which in CONTROL_PLANES}
        record = records[self._control_plane]
        remove_containers(engine)
        subnet = _subnet(engine, record or next(filter(None, records.values()), None))
        key = inputs_hash(content_hash(public_key), subnet, self._control_plane)
        try:
            if record and self._usable(engine, record, key):
                progress("nodes", "starting from the prepared images")
                return self._start(engine, record, progress)
            return self._prepare(engine, key, subnet, public_key, progress)
        except ProvisionError as err:
            logs = _keep_journals(engine)
            remove_containers(engine)
            raise ProvisionError(err.message, _advice(logs)) from None
        except BaseException:  # Ctrl-C too: half-made nodes are of no use to anybody
            remove_containers(engine)
            raise

    def existing(self) -> list[ContainerCluster]:
        engine = self._engine or find_engine()
        if engine is None:
            return []
        mine = ("ps", "--format", "{{.Names}}", "--filter", f"label={LABEL}={identity.installation_id()}")
        running = {which: engine.run(*mine, "--filter", f"label={_RUNS}={which}").split() for which in CONTROL_PLANES}
        names = {container_name(name) for name in NODES}
        found = next((which for which in CONTROL_PLANES if names <= set(running[which])), None)
        record = ClusterRecord.load(found) if found else None
        if record is None:
            return []
        ports = {name: _published_port(engine, name) for name in NODES}
        return [ContainerCluster(engine, record, ports, self._clock)]

    def destroy_all(self, *, images: bool) -> list[str]:
        """Remove every container, volume and network of this installation, images too if asked. Returns what went."""
        engine = self._engine or find_engine()
        if engine is None:
            return []
        mine = identity.installation_id()
        gone = engine.labelled("container", mine)
        remove_containers(engine)
        for network in engine.labelled("network", mine):
            engine.run("network", "rm", network)
            gone.append(network)
        if images:
            gone += _remove_images(engine)
            ClusterRecord.forget()
        return gone

    def _usable(self, engine: Engine, record: ClusterRecord, key: str) -> bool:
        in_a_week = self._clock.now() + 7 * 86400
        fresh = record.image_key == key and record.expires > in_a_week
        return fresh and all(engine.exists("image", _image(name, key)) for name in NODES)

    def _start(self, engine: Engine, record: ClusterRecord, progress: Progress) -> ContainerCluster:
        since = self._clock.now()
        engine = Engine(engine.kind, engine.binary, engine.prefix, record.runtime)
        _ensure_network(engine, record.subnet)
        addresses = {name: node.address for name, node in record.nodes.items()}
        images = {name: _image(name, record.image_key) for name in NODES}
        cluster = ContainerCluster(
            engine, record, _run_nodes(engine, images, addresses, record.control_plane), self._clock
        )
        for name in NODES:
            wait_for_ssh(cluster.shell(name), self._clock)
        if record.control_plane == "static-pods":
            self._hurry(cluster, progress)
        progress("nodes", "waiting until both are Ready")
        wait_until_ready(cluster.shell(NODES[0]), NODES, since, self._clock)
        return cluster

    def _prepare(self, engine: Engine, key: str, subnet: str, public_key: str, progress: Progress) -> ContainerCluster:
        """The cold way: base image, boot, provision over SSH, commit."""
        base = ensure_base_image(engine, public_key, progress)
        engine = with_working_runtime(engine, base)
        _ensure_network(engine, subnet)
        hosts = list(ipaddress.ip_network(subnet).hosts())
        addresses = {name: str(hosts[index + 1]) for index, name in enumerate(NODES)}
        spec = _new_cluster_spec(f"{identity.installation_id()}-{key}", addresses, self._control_plane)
        progress("nodes", "booting controlplane and node01")
        ports = _run_nodes(engine, dict.fromkeys(NODES, base), addresses, self._control_plane)
        nodes = {name: _identify(engine, name, addresses[name], self._clock) for name in NODES}
        record = ClusterRecord(key, subnet, engine.runtime, _expiry(spec), nodes, self._control_plane)
        cluster = ContainerCluster(engine, record, ports, self._clock)
        for name in NODES:
            wait_for_ssh(cluster.shell(name), self._clock)
        provision_cluster(spec, {name: cluster.shell(name) for name in NODES}, progress)
        progress("nodes", "waiting until both are Ready")
        wait_until_ready(cluster.shell(NODES[0]), NODES, None, self._clock)
        label_control_plane(cluster.shell(NODES[0]), NODES[0])
        progress("nodes", "keeping them as images for the next labs")
        if record.control_plane == "static-pods":
            cluster.shell(NODES[0]).script(_PODS_AT_REST)
        _commit(engine, key)
        record.save()
        kept = filter(None, map(ClusterRecord.load, CONTROL_PLANES))
        _remove_images(engine, keep=[base, *(_image(name, one.image_key) for one in kept for name in NODES)])
        if record.control_plane == "static-pods":
            since = self._clock.now()
            self._hurry(cluster, progress)
            wait_until_ready(cluster.shell(NODES[0]), NODES, since, self._clock)
        return cluster

    def _hurry(self, cluster: ContainerCluster, progress: Progress) -> None:
        progress("nodes", "waiting for the control plane")
        address = cluster.nodes[NODES[0]].address
        hurry({name: cluster.shell(name) for name in NODES}, f"https://{address}:{API_PORT}")


def _expiry(spec: ClusterSpec) -> float:
    from cka_kubelet.provision.pki import expiry

    return expiry(spec.pki).timestamp()


def _new_cluster_spec(marker: str, addresses: Mapping[str, str], control_plane: ControlPlane) -> ClusterSpec:
    from cka_kubelet.provision.pki import NodeName, make_pki

    names = [NodeName(name, address) for name, address in addresses.items()]
    pki = make_pki(names[0], names, SERVICE_IP, datetime.now(UTC), etcd=control_plane == "static-pods")
    private, public = identity.new_ssh_key("root@lab")
    return ClusterSpec(marker, node_specs(addresses), pki, private, public, control_plane_runs=control_plane)


def _run_nodes(
    engine: Engine, images: Mapping[str, str], addresses: Mapping[str, str], control_plane: ControlPlane
) -> dict[str, int]:
    """Start all nodes at once. Returns node → SSH port on 127.0.0.1. Raises EngineError and leaves none running."""
    try:
        with ThreadPoolExecutor(max_workers=len(images)) as pool:
            jobs = {
                name: pool.submit(_run_node, engine, name, image, addresses, control_plane)
                for name, image in images.items()
            }
            return {name: job.result() for name, job in jobs.items()}
    except EngineError:
        remove_containers(engine)
        raise


def _run_node(engine: Engine, name: str, image: str, addresses: Mapping[str, str], control_plane: ControlPlane) -> int:
    for attempt in range(3):
        port = _free_port()
        options = [
            "--detach", "--name", container_name(name), "--hostname", name,
            "--label", f"{LABEL}={identity.installation_id()}", "--label", f"{_RUNS}={control_plane}",
            "--pids-limit", "8192",
            "--network", _network_name(), "--ip", addresses[name], "--publish", f"127.0.0.1:{port}:22",
        ]  # fmt: skip
        for other, address in addresses.items():
            options += ["--add-host", f"{other}:{address}"]
        try:
            command = engine.node_command(container_name(name))
            engine.run("run", *options, *engine.node_options(), image, *command, timeout=120)
        except EngineError as err:
            engine.run("rm", "--force", "--volumes", container_name(name), check=False)
            if "in use" not in err.message or attempt == 2:
                raise
        else:
            return port
    raise AssertionError("unreachable")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _published_port(engine: Engine, name: str) -> int:
    return int(engine.run("port", container_name(name), "22").split(":")[-1])


def _identify(engine: Engine, name: str, address: str, clock: Clock) -> NodeRecord:
    """Read the new node's host key and machine id through the engine: the only way in that is not SSH, used once."""
    query = "cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id 2>/dev/null && systemctl is-active --quiet ssh"
    said: list[str] = []

    def known() -> bool:
        said[:] = engine.run("exec", container_name(name), "sh", "-c", query, check=False).splitlines()
        return len(said) == 2 and len(said[1].strip()) == 32

    if not wait_until(known, SSH_SECONDS, clock, every=0.1):
        log = engine.run("logs", "--tail", "5", container_name(name), check=False)
        raise ProvisionError(
            f"{name} did not boot within {SSH_SECONDS:g} s: {' '.join(log.split())[-300:]}",
            "`cka-kubelet doctor` checks what a node needs of this machine.",
        )
    return NodeRecord(address, " ".join(said[0].split()[:2]), said[1].strip())


def _keep_journals(engine: Engine) -> Path:
    """Copy the nodes' journals here before the nodes go. Gives the directory."""
    directory = paths.data_dir() / "logs"
    directory.mkdir(mode=0o700, exist_ok=True)
    for name in NODES:
        said = engine.run("exec", container_name(name), "journalctl", "--no-pager", "--lines=5000", check=False)
        (directory / f"{name}.log").write_text(said)
    return directory


def _advice(logs: Path) -> str:
    if any("fsnotify watcher: too many open files" in log.read_text() for log in logs.glob("*.log")):
        return f"This machine's inotify instances are used up: {MORE_INOTIFY}"
    return f"What the nodes logged is in {logs}. `cka-kubelet nodes destroy --images` starts afresh."


def _commit(engine: Engine, key: str) -> None:
    """Keep both nodes as images. The engine pauses each while it copies, so files are as after a power cut at worst."""

    def commit(name: str) -> None:
        shell_sync = ("exec", container_name(name), "sync")
        engine.run(*shell_sync, timeout=60)
        engine.run(
            "image", "rm", "--force", _image(name, key), check=False
        )  # else a lost record's image stays, nameless
        change = ("--change", f"LABEL {LABEL}=image")
        engine.run("commit", "--pause", *change, container_name(name), _image(name, key), timeout=300)

    with ThreadPoolExecutor(max_workers=len(NODES)) as pool:
        list(pool.map(commit, NODES))


def _remove_images(engine: Engine, keep: Sequence[str] = ()) -> list[str]:
    """Remove this installation's images, base images of before included, but those named in `keep`."""
    prefix = f"localhost/cka-kubelet-{identity.installation_id()}-"
    old = [name for name in engine.labelled("image", "image") if name.startswith(prefix) and name not in keep]
    if old:
        engine.run("image", "rm", "--force", *old, timeout=120, check=False)
    return old


def _ensure_network(engine: Engine, subnet: str) -> None:
    name = _network_name()
    if engine.exists("network", name):
        if subnet in engine.run("network", "inspect", name):
            return
        engine.run("network", "rm", name, check=False)
    engine.run("network", "create", "--label", f"{LABEL}={identity.installation_id()}", "--subnet", subnet, name)


def _subnet(engine: Engine, record: ClusterRecord | None) -> str:
    """The prepared images' subnet while it can be had, else a free one. A network that a killed run left is ours."""
    if record and engine.exists("network", _network_name()):
        return record.subnet
    engine.run("network", "rm", _network_name(), check=False)
    taken = _routes() + _engine_subnets(engine)
    wanted = [*([record.subnet] if record else []), *_SUBNETS]
    return choose_subnet(wanted, taken)


def choose_subnet(wanted: Sequence[str], taken: Sequence[ipaddress.IPv4Network]) -> str:
    """The first of `wanted` that overlaps with none of `taken`. Raises EnvironmentError_."""
    for candidate in wanted:
        if not any(ipaddress.ip_network(candidate).overlaps(network) for network in taken):
            return candidate
    raise EnvironmentError_(
        f"none of the networks {', '.join(wanted)} is free on this machine",
        "Remove one that is not needed (`podman network ls`, `ip route`) and try again.",
    )


def _routes() -> list[ipaddress.IPv4Network]:
    try:
        done = subprocess.run(["ip", "-4", "-json", "route"], capture_output=True, text=True, check=False, timeout=10)
        found = [route.get("dst", "") for route in json.loads(done.stdout or "[]")]
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return []
    return [ipaddress.IPv4Network(dst, strict=False) for dst in found if dst and dst != "default"]


def _engine_subnets(engine: Engine) -> list[ipaddress.IPv4Network]:
    names = engine.run("network", "ls", "--format", "{{.Name}}").split()
    text = engine.run("network", "inspect", *names, check=False) if names else "[]"
    found = []
    for word in text.replace('"', " ").replace(",", " ").split():
        if "/" in word and word[0].isdigit():
            try:
                found.append(ipaddress.IPv4Network(word, strict=False))
            except ValueError:
                continue
    return found

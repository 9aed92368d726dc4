"""A bare Debian or Ubuntu host becomes a kubeadm-shaped node: facts → steps, over SSH."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from cka_kubelet.errors import ProvisionError
from cka_kubelet.kube import ociimage
from cka_kubelet.provision import oci
from cka_kubelet.provision.facts import Facts, gather
from cka_kubelet.provision.files import IMAGES, HostTraits, NodeFile, marker, node_files
from cka_kubelet.provision.plan import ETCDUTL, Step, enabled_units, install_steps, paths_of, unit_steps
from cka_kubelet.provision.spec import ClusterSpec, NodeSpec, Progress
from cka_kubelet.remote.shell import Shell


def provision_cluster(cluster: ClusterSpec, shells: Mapping[str, Shell], progress: Progress) -> int:
    """Bring every node to the wanted state, all at once. Returns how many steps it took; 0 on a second run.

    Raises ProvisionError, NodeError. Safe to repeat after any failure: done steps are not done again.
    """
    with ThreadPoolExecutor(max_workers=len(cluster.nodes)) as pool:
        jobs = [pool.submit(provision_node, cluster, node, shells[node.name], progress) for node in cluster.nodes]
        return sum(job.result() for job in jobs)


def provision_node(cluster: ClusterSpec, node: NodeSpec, shell: Shell, progress: Progress) -> int:
    """One node: gather, plan, apply. Returns the number of steps taken."""
    units = enabled_units(cluster, node)
    facts = gather(shell, paths_of(cluster, node, _wanted(cluster, node, None)), units)
    _ensure_supported(facts, shell)
    wanted = _wanted(cluster, node, facts)
    steps = install_steps(cluster, node, facts, wanted)
    for step in steps:
        _apply(step, shell, progress)
    taken = len(steps)
    if IMAGES not in facts.files:
        _put_images(shell, facts, progress)
        taken += 1
    steps = unit_steps(cluster, node, facts, wanted)
    for step in steps:
        _apply(step, shell, progress)
    return taken + len(steps)


def label_control_plane(shell: Shell, name: str) -> None:
    """Mark a registered node as `kubeadm init` does; kubelets may not give themselves that role. Idempotent."""
    labels = ("node-role.kubernetes.io/control-plane=", "node.kubernetes.io/exclude-from-external-load-balancers=")
    shell.run(["kubectl", "label", "--overwrite", "node", name, *labels])


def touched_paths(cluster: ClusterSpec, node: NodeSpec) -> list[str]:
    """Every path of a node that provisioning may write, for capturing them first."""
    more = [ETCDUTL] if cluster.static_pods(node) else []
    return [*(file.path.rstrip("/") for file in _wanted(cluster, node, None)), *more]


def _wanted(cluster: ClusterSpec, node: NodeSpec, facts: Facts | None) -> list[NodeFile]:
    """The node's files; their paths are the same whatever the facts, so they can be asked for before any is known."""
    traits = facts.traits if facts else HostTraits()
    return [*node_files(cluster, node, traits), marker(cluster, node, traits)]


def _apply(step: Step, shell: Shell, progress: Progress) -> None:
    progress(shell.name, step.says)
    result = shell.run(step.argv, input=step.input, timeout=step.timeout, check=False)
    if not result.ok:
        said = " ".join(result.stderr.decode("utf-8", "replace").split())[-400:]
        raise ProvisionError(
            f"{shell.name}: {step.says[:120]}: failed with status {result.returncode}: {said}",
            "Run the same command again: what is done stays done.",
        )


def _put_images(shell: Shell, facts: Facts, progress: Progress) -> None:
    """Build the container images from the node's own busybox: no registry needed."""
    progress(shell.name, "container images (pause, busybox, web)")
    busybox = shell.read_file("/usr/bin/busybox")
    arch = facts.traits.arch
    images = [oci.pause_image(arch), oci.busybox_image(busybox, arch), oci.web_image(busybox, arch)]
    shell.write_file(IMAGES, ociimage.archive(images))


def _ensure_supported(facts: Facts, shell: Shell) -> None:
    if facts.os_id not in {"debian", "ubuntu"}:
        raise ProvisionError(
            f"{shell.name} runs {facts.os_id or 'an unknown system'}; nodes are Debian 12 or later, or Ubuntu 24.04",
            "Use such a host, or let containers on this machine be the nodes (no --host).",
        )

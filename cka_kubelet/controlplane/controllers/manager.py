"""Which controllers there are, what each watches, and running those that are wanted."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers.approving import Approver
from cka_kubelet.controlplane.controllers.attachments import Attachments
from cka_kubelet.controlplane.controllers.bootstraptokens import BootstrapSigner, TokenCleaner
from cka_kubelet.controlplane.controllers.cronjobs import CronJobs
from cka_kubelet.controlplane.controllers.daemonsets import DaemonSets
from cka_kubelet.controlplane.controllers.endpoints import Endpoints, EndpointSlices
from cka_kubelet.controlplane.controllers.ephemeralvolumes import EphemeralVolumes
from cka_kubelet.controlplane.controllers.garbage import GarbageCollector, PodGarbageCollector
from cka_kubelet.controlplane.controllers.informer import Informer, Informers, Loop
from cka_kubelet.controlplane.controllers.jobs import Jobs
from cka_kubelet.controlplane.controllers.namespaces import Namespaces, RootCAPublisher, ServiceAccounts
from cka_kubelet.controlplane.controllers.nodelifecycle import NodeIPAM, NodeLifecycle
from cka_kubelet.controlplane.controllers.persistentvolumes import PersistentVolumes
from cka_kubelet.controlplane.controllers.replicasets import Deployments, ReplicaSets
from cka_kubelet.controlplane.controllers.signing import Signer
from cka_kubelet.controlplane.controllers.statefulsets import StatefulSets
from cka_kubelet.controlplane.controllers.tainteviction import TaintEviction
from cka_kubelet.kube import klog

Sync = Callable[[], Awaitable[float | None]]


class Configuration(NamedTuple):
    """What controllers are told. Durations in seconds; an empty file name means that there is none."""

    cluster_cidr: str
    root_ca_file: str
    signing_cert_file: str
    signing_key_file: str
    node_monitor_grace_period: float
    node_monitor_period: float
    skipped: frozenset[str] = frozenset()
    """Controllers that are wanted but have nothing to do."""


class Controller(NamedTuple):
    """`make` gives its `sync` from a client, the configuration and the informers of `watches`, in that order.

    `account`: the service account it acts as when every controller has its own (kube-system).
    """

    name: str
    account: str
    watches: tuple[str, ...]
    make: Callable[..., Sync]


ClientOf = Callable[[Controller], Client]

_LEASES = "leases.coordination.k8s.io"
_SETS, _DEPLOYMENTS, _DAEMONS, _JOBS = "replicasets.apps", "deployments.apps", "daemonsets.apps", "jobs.batch"
_STATEFUL, _REVISIONS = "statefulsets.apps", "controllerrevisions.apps"
_REQUESTS = "certificatesigningrequests.certificates.k8s.io"
_CLAIMS, _VOLUMES = "persistentvolumeclaims", "persistentvolumes"
_SLICES = "endpointslices.discovery.k8s.io"
_CLASSES, _DRIVERS = "storageclasses.storage.k8s.io", "csidrivers.storage.k8s.io"
_ATTACHMENTS = "volumeattachments.storage.k8s.io"

CONTROLLERS = (
    Controller(
        "node-lifecycle-controller", "node-controller", ("nodes", _LEASES, "pods"),
        lambda client, config, *caches: NodeLifecycle(
            client, *caches, grace=config.node_monitor_grace_period, period=config.node_monitor_period
        ).sync,
    ),
    Controller(
        "node-ipam-controller", "node-controller", ("nodes",),
        lambda client, config, nodes: NodeIPAM(client, nodes, config.cluster_cidr).sync,
    ),
    Controller(
        "taint-eviction-controller", "node-controller", ("nodes", "pods"),
        lambda client, _, *caches: TaintEviction(client, *caches).sync,
    ),
    Controller(
        "persistentvolume-binder-controller", "persistent-volume-binder", (_CLAIMS, _VOLUMES, _CLASSES, "pods"),
        lambda client, _, *caches: PersistentVolumes(client, *caches).sync,
    ),
    Controller(
        "persistentvolume-attach-detach-controller", "attachdetach-controller",
        ("nodes", "pods", _CLAIMS, _VOLUMES, _DRIVERS, _ATTACHMENTS),
        lambda client, _, *caches: Attachments(client, *caches).sync,
    ),
    Controller(
        "namespace-controller", "namespace-controller", ("namespaces", "pods"),
        lambda client, _, namespaces, _pods: Namespaces(client, namespaces).sync,
    ),
    Controller(
        "serviceaccount-controller", "service-account-controller", ("namespaces", "serviceaccounts"),
        lambda client, _, *caches: ServiceAccounts(client, *caches).sync,
    ),
    Controller(
        "root-ca-certificate-publisher-controller", "root-ca-cert-publisher", ("namespaces", "configmaps"),
        lambda client, config, namespaces, maps: RootCAPublisher(client, namespaces, maps, config.root_ca_file).sync,
    ),
    Controller(
        "replicaset-controller", "replicaset-controller", (_SETS, "pods"),
        lambda client, _, *caches: ReplicaSets(client, *caches).sync,
    ),
    Controller(
        "deployment-controller", "deployment-controller", (_DEPLOYMENTS, _SETS),
        lambda client, _, *caches: Deployments(client, *caches).sync,
    ),
    Controller(
        "daemonset-controller", "daemon-set-controller", (_DAEMONS, "nodes", "pods"),
        lambda client, _, *caches: DaemonSets(client, *caches).sync,
    ),
    Controller(
        "job-controller", "job-controller", (_JOBS, "pods"),
        lambda client, _, *caches: Jobs(client, *caches).sync,
    ),
    Controller(
        "bootstrap-signer-controller", "bootstrap-signer", ("secrets", "configmaps"),
        lambda client, _, *caches: BootstrapSigner(client, *caches).sync,
    ),
    Controller(
        "token-cleaner-controller", "token-cleaner", ("secrets",),
        lambda client, _, *caches: TokenCleaner(client, *caches).sync,
    ),
    Controller(
        "statefulset-controller", "statefulset-controller", (_STATEFUL, "pods", _CLAIMS, _REVISIONS),
        lambda client, _, *caches: StatefulSets(client, *caches).sync,
    ),
    Controller(
        "cronjob-controller", "cronjob-controller", ("cronjobs.batch", _JOBS),
        lambda client, _, *caches: CronJobs(client, *caches).sync,
    ),
    Controller(
        "endpoints-controller", "endpoint-controller", ("services", "pods", "endpoints"),
        lambda client, _, *caches: Endpoints(client, *caches).sync,
    ),
    Controller(
        "endpointslice-controller", "endpointslice-controller", ("services", "pods", _SLICES),
        lambda client, _, *caches: EndpointSlices(client, *caches).sync,
    ),
    Controller(
        "ephemeral-volume-controller", "ephemeral-volume-controller", ("pods", _CLAIMS),
        lambda client, _, *caches: EphemeralVolumes(client, *caches).sync,
    ),
    Controller(
        "certificatesigningrequest-approving-controller", "certificate-controller", (_REQUESTS,),
        lambda client, _, requests: Approver(client, requests).sync,
    ),
    Controller(
        "certificatesigningrequest-signing-controller", "certificate-controller", (_REQUESTS,),
        lambda client, config, requests: Signer(
            client, requests, config.signing_cert_file, config.signing_key_file
        ).sync,
    ),
    Controller(
        "garbage-collector-controller", "generic-garbage-collector",
        ("nodes", _SETS, _DEPLOYMENTS, _DAEMONS, _STATEFUL, _JOBS),
        lambda client, _, *_caches: GarbageCollector(client).sync,
    ),
    Controller(
        "pod-garbage-collector-controller", "pod-garbage-collector", ("nodes", "pods"),
        lambda client, _, *caches: PodGarbageCollector(client, *caches).sync,
    ),
)  # fmt: skip
_NOT_HERE = """
serviceaccount-token-controller endpointslice-mirroring-controller
replicationcontroller-controller resourcequota-controller horizontal-pod-autoscaler-controller disruption-controller
certificatesigningrequest-cleaner-controller ttl-controller
service-lb-controller node-route-controller cloud-node-lifecycle-controller persistentvolume-expander-controller
clusterrole-aggregation-controller persistentvolumeclaim-protection-controller persistentvolume-protection-controller
ttl-after-finished-controller storageversion-garbage-collector-controller
resourceclaim-controller legacy-serviceaccount-token-cleaner-controller validatingadmissionpolicy-status-controller
service-cidr-controller storage-version-migrator-controller device-taint-eviction-controller
podcertificaterequest-cleaner-controller selinux-warning-controller podgroup-protection-controller
kube-apiserver-serving-clustertrustbundle-publisher-controller
"""
_ALIASES = {
    "serviceaccount-token": "serviceaccount-token-controller", "endpoint": "endpoints-controller",
    "endpointslice": "endpointslice-controller", "endpointslicemirroring": "endpointslice-mirroring-controller",
    "replicationcontroller": "replicationcontroller-controller", "podgc": "pod-garbage-collector-controller",
    "resourcequota": "resourcequota-controller", "namespace": "namespace-controller",
    "serviceaccount": "serviceaccount-controller", "garbagecollector": "garbage-collector-controller",
    "daemonset": "daemonset-controller", "job": "job-controller", "deployment": "deployment-controller",
    "replicaset": "replicaset-controller", "horizontalpodautoscaling": "horizontal-pod-autoscaler-controller",
    "disruption": "disruption-controller", "statefulset": "statefulset-controller", "cronjob": "cronjob-controller",
    "csrsigning": "certificatesigningrequest-signing-controller",
    "csrapproving": "certificatesigningrequest-approving-controller",
    "csrcleaner": "certificatesigningrequest-cleaner-controller", "ttl": "ttl-controller",
    "bootstrapsigner": "bootstrap-signer-controller", "tokencleaner": "token-cleaner-controller",
    "nodeipam": "node-ipam-controller", "nodelifecycle": "node-lifecycle-controller",
    "taint-eviction": "taint-eviction-controller", "service": "service-lb-controller",
    "route": "node-route-controller", "cloud-node-lifecycle": "cloud-node-lifecycle-controller",
    "persistentvolume-binder": "persistentvolume-binder-controller",
    "attachdetach": "persistentvolume-attach-detach-controller",
    "persistentvolume-expander": "persistentvolume-expander-controller",
    "clusterrole-aggregation": "clusterrole-aggregation-controller",
    "pvc-protection": "persistentvolumeclaim-protection-controller",
    "pv-protection": "persistentvolume-protection-controller", "ttl-after-finished": "ttl-after-finished-controller",
    "root-ca-cert-publisher": "root-ca-certificate-publisher-controller",
    "ephemeral-volume": "ephemeral-volume-controller",
    "legacy-service-account-token-cleaner": "legacy-serviceaccount-token-cleaner-controller",
}  # fmt: skip
"""Names that controllers had before."""
_OFF_BY_DEFAULT = frozenset({"bootstrap-signer-controller", "token-cleaner-controller", "selinux-warning-controller"})
_RUNNING = frozenset(controller.name for controller in CONTROLLERS)
KNOWN = _RUNNING | frozenset(_NOT_HERE.split())
"""Every name that --controllers may have."""


def unknown(names: Iterable[str]) -> list[str]:
    """The words of --controllers that name no controller."""
    bare = (name.removeprefix("-") for name in names if name != "*")
    return [name for name in bare if _ALIASES.get(name, name) not in KNOWN]


def enabled(name: str, wanted: Iterable[str]) -> bool:
    """Whether --controllers has a controller run: its own name decides, else `*`."""
    for word in wanted:
        bare = word.removeprefix("-")
        if _ALIASES.get(bare, bare) == name:
            return not word.startswith("-")
    return "*" in wanted and name not in _OFF_BY_DEFAULT


async def run(client: Client, config: Configuration, wanted: Sequence[str], client_of: ClientOf | None = None) -> None:
    """Run the controllers that are wanted until cancelled. `client_of`: with which client one of them writes."""
    informers, loops = Informers(client), list[tuple[Loop, list[Informer]]]()
    for controller in CONTROLLERS:
        if not enabled(controller.name, wanted) or controller.name in config.skipped:
            continue
        caches = [informers.get(resource) for resource in controller.watches]
        sync = controller.make(client_of(controller) if client_of else client, config, *caches)
        loops.append((Loop(controller.name, sync), caches))
    async with asyncio.TaskGroup() as group:
        for loop, caches in loops:
            group.create_task(loop.run(*caches))
        informers.start(group)


def say_which(config: Configuration, wanted: Sequence[str]) -> None:
    """A line for each controller: whether it runs."""
    for name in sorted(KNOWN):
        if not enabled(name, wanted):
            klog.info("controllermanager.go:760", "Warning: controller is disabled", controller=name)
        elif name in config.skipped:
            klog.info("controllermanager.go:776", "Warning: skipping controller", controller=name)
        elif name in _RUNNING:
            klog.info("controllermanager.go:797", "Started controller", controller=name)

"""Scheduler and controllers. Each talks to the API through a Client and nothing else."""

import asyncio
from pathlib import Path

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers.attachments import Attachments
from cka_kubelet.controlplane.controllers.daemonsets import DaemonSets
from cka_kubelet.controlplane.controllers.endpoints import Endpoints
from cka_kubelet.controlplane.controllers.garbage import GarbageCollector
from cka_kubelet.controlplane.controllers.informer import Informer, Loop
from cka_kubelet.controlplane.controllers.jobs import Jobs
from cka_kubelet.controlplane.controllers.namespaces import Namespaces
from cka_kubelet.controlplane.controllers.nodelifecycle import NodeIPAM, NodeLifecycle
from cka_kubelet.controlplane.controllers.persistentvolumes import PersistentVolumes
from cka_kubelet.controlplane.controllers.replicasets import Deployments, ReplicaSets
from cka_kubelet.controlplane.controllers.scheduler import Scheduler
from cka_kubelet.controlplane.controllers.signing import Signer
from cka_kubelet.controlplane.controllers.tainteviction import TaintEviction
from cka_kubelet.controlplane.controllers.volumebinder import VolumeBinder
from cka_kubelet.controlplane.flags import Options
from cka_kubelet.controlplane.kinds import kind

_WATCHED = (
    "nodes",
    "leases.coordination.k8s.io",
    "pods",
    "namespaces",
    "serviceaccounts",
    "configmaps",
    "services",
    "replicasets.apps",
    "deployments.apps",
    "daemonsets.apps",
    "jobs.batch",
    "certificatesigningrequests.certificates.k8s.io",
    "persistentvolumeclaims",
    "persistentvolumes",
    "storageclasses.storage.k8s.io",
    "csidrivers.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
)


def _signing_files(options: Options) -> tuple[str, str]:
    """The CA to sign with: as told, else the client CA if its key lies beside it, as kubeadm leaves it."""
    if options.cluster_signing_key_file:
        return options.cluster_signing_cert_file, options.cluster_signing_key_file
    key = Path(options.client_ca_file).with_suffix(".key") if options.client_ca_file else Path()
    return (options.client_ca_file, str(key)) if key.is_file() else ("", "")


async def run_all(client: Client, options: Options) -> None:
    """Run every controller until cancelled."""
    informers = {resource: Informer(client, kind(resource).path()) for resource in _WATCHED}
    nodes, leases, pods, namespaces, accounts, config_maps, *others = informers.values()
    services, sets, deployments, daemons, jobs, requests, claims, volumes, classes, drivers, attachments = others
    ca = options.root_ca_file or options.client_ca_file
    grace, period = options.node_monitor_grace_period, options.node_monitor_period
    lifecycle = NodeLifecycle(client, nodes, leases, pods, grace=grace, period=period)
    loops = (
        ("node-lifecycle", lifecycle.sync, (nodes, leases)),
        ("node-ipam", NodeIPAM(client, nodes, options.cluster_cidr).sync, (nodes,)),
        ("taint-eviction", TaintEviction(client, nodes, pods).sync, (nodes, pods)),
        (
            "scheduler",
            Scheduler(client, nodes, pods, VolumeBinder(client, claims, volumes, classes)).sync,
            (nodes, pods, claims, volumes, classes),
        ),
        (
            "persistentvolume-binder",
            PersistentVolumes(client, claims, volumes, classes, pods).sync,
            (claims, volumes, classes, pods),
        ),
        (
            "persistentvolume-attach-detach",
            Attachments(client, nodes, pods, claims, volumes, drivers, attachments).sync,
            (nodes, pods, claims, volumes, drivers, attachments),
        ),
        (
            "namespace",
            Namespaces(client, namespaces, accounts, config_maps, pods, ca).sync,
            (namespaces, accounts, config_maps, pods),
        ),
        ("replicaset", ReplicaSets(client, sets, pods).sync, (sets, pods)),
        ("deployment", Deployments(client, deployments, sets).sync, (deployments, sets)),
        ("daemonset", DaemonSets(client, daemons, nodes, pods).sync, (daemons, nodes, pods)),
        ("job", Jobs(client, jobs, pods).sync, (jobs, pods)),
        ("endpoints", Endpoints(client, services, pods).sync, (services, pods)),
        ("csrsigning", Signer(client, requests, *_signing_files(options)).sync, (requests,)),
        ("garbage-collector", GarbageCollector(client, nodes, pods).sync, (nodes, sets, deployments, daemons, jobs)),
    )
    async with asyncio.TaskGroup() as group:
        for informer in informers.values():
            group.create_task(informer.run())
        for name, sync, watched in loops:
            group.create_task(Loop(name, sync).run(*watched))

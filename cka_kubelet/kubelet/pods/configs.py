"""PodSandboxConfig and ContainerConfig from a pod. Pure: everything that had to be looked up is passed in."""

import json
from typing import Any

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.kubelet.pods import objects, resources
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.dns import DNSConfig
from cka_kubelet.kubelet.pods.env import expand
from cka_kubelet.kubelet.pods.security import container_security, sandbox_security

_PROTOCOLS = {"TCP": pb.TCP, "UDP": pb.UDP, "SCTP": pb.SCTP}
_HOSTNAME_LIMIT = 64  # HOST_NAME_MAX
_PROPAGATION = {
    "HostToContainer": pb.PROPAGATION_HOST_TO_CONTAINER,
    "Bidirectional": pb.PROPAGATION_BIDIRECTIONAL,
}


def log_directory(root: str, pod: objects.Pod) -> str:
    """`<podLogsDir>/NAMESPACE_NAME_UID`."""
    return f"{root}/{objects.namespace(pod)}_{objects.name(pod)}_{objects.uid(pod)}"


class HostnameError(Exception):
    """The kernel takes no such host name."""


def pod_hostname(pod: objects.Pod, node_name: str) -> str:
    """The host name inside the pod: spec.hostname or the pod's name, cut to 63; the node's with hostNetwork."""
    if objects.host_network(pod):
        return node_name
    spec = pod["spec"]
    if spec.get("hostnameOverride"):
        return str(spec["hostnameOverride"])
    return str(spec.get("hostname") or objects.name(pod))[:63].rstrip("-.")


def pod_domain(pod: objects.Pod, cluster_domain: str) -> str:
    """What follows the host name in the pod's FQDN, "" for a pod that has none."""
    subdomain = pod["spec"].get("subdomain")
    if not subdomain or pod["spec"].get("hostnameOverride"):
        return ""
    return f"{subdomain}.{objects.namespace(pod)}.svc.{cluster_domain}"


def kernel_hostname(pod: objects.Pod, hostname: str, domain: str) -> str:
    """What gethostname() gives in the pod: the FQDN with setHostnameAsFQDN. Raises HostnameError past 64 characters."""
    if not (domain and pod["spec"].get("setHostnameAsFQDN")):
        return hostname
    fqdn = f"{hostname}.{domain}"
    if len(fqdn) > _HOSTNAME_LIMIT:
        raise HostnameError(
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {fqdn} is too long "
            f"({_HOSTNAME_LIMIT} characters is the max, {len(fqdn)} characters requested)"
        )
    return fqdn


def sandbox_config(
    pod: objects.Pod,
    attempt: int,
    *,
    hostname: str,
    dns: DNSConfig,
    cgroup_parent: str,
    logs_root: str,
    seccomp_default: bool,
) -> Any:
    """The sandbox of the pod's `attempt`-th life."""
    config = pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(
            name=objects.name(pod), uid=objects.uid(pod), namespace=objects.namespace(pod), attempt=attempt
        ),
        hostname="" if objects.host_network(pod) else hostname,
        log_directory=log_directory(logs_root, pod),
        dns_config=pb.DNSConfig(servers=dns.servers, searches=dns.searches, options=dns.options),
    )
    config.labels.update(pod["metadata"].get("labels") or {})
    config.labels.update(identity(pod))
    config.annotations.update(objects.annotations(pod))
    for container in objects.all_containers(pod):
        for port in container.get("ports") or []:
            if objects.host_network(pod) and not port.get("hostPort"):
                continue
            config.port_mappings.add(
                protocol=_PROTOCOLS[port.get("protocol") or "TCP"],
                container_port=int(port["containerPort"]),
                host_port=int(port.get("hostPort") or 0),
                host_ip=port.get("hostIP") or "",
            )
    config.linux.cgroup_parent = cgroup_parent
    config.linux.security_context.CopyFrom(sandbox_security(pod, seccomp_default))
    for sysctl in (pod["spec"].get("securityContext") or {}).get("sysctls") or []:
        config.linux.sysctls[sysctl["name"]] = str(sysctl["value"])
    cpu = resources.pod_requests(pod)["cpu"]
    cpu_limit, memory_limit = resources.pod_limits(pod)
    config.linux.resources.cpu_shares = resources.shares(cpu)
    config.linux.resources.cpu_period = resources.PERIOD
    config.linux.resources.cpu_quota = resources.quota(cpu_limit)
    config.linux.resources.memory_limit_in_bytes = memory_limit
    return config


def identity(pod: objects.Pod) -> dict[str, str]:
    """The labels by which the kubelet finds its own again."""
    return {rs.L_POD: objects.name(pod), rs.L_NAMESPACE: objects.namespace(pod), rs.L_UID: objects.uid(pod)}


def container_config(
    pod: objects.Pod,
    container: objects.Container,
    restarts: int,
    *,
    image_ref: str,
    image_uid: int | None,
    image_user: str,
    env: dict[str, str],
    mounts: list[Any],
    devices: list[Any],
    memory_capacity: int,
    cfs_quota: bool,
    cgroup_v2: bool,
    swap_accounting: bool,
    seccomp_default: bool,
) -> Any:
    """The container's next life in its sandbox."""
    config = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=container["name"], attempt=restarts),
        image=pb.ImageSpec(image=image_ref, user_specified_image=container.get("image") or ""),
        command=[expand(str(word), env) for word in container.get("command") or []],
        args=[expand(str(word), env) for word in container.get("args") or []],
        working_dir=container.get("workingDir") or "",
        log_path=f"{container['name']}/{restarts}.log",
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        tty=bool(container.get("tty")),
        mounts=mounts,
        devices=devices,
        envs=[pb.KeyValue(key=k, value=v.encode("utf-8", "surrogateescape")) for k, v in env.items()],
    )
    config.labels.update({**identity(pod), rs.L_CONTAINER: container["name"]})
    config.annotations.update(container_annotations(pod, container, restarts))
    signal = (container.get("lifecycle") or {}).get("stopSignal")
    if signal:
        config.stop_signal = getattr(pb, signal)
    linux = config.linux
    linux.security_context.CopyFrom(container_security(pod, container, image_uid, image_user, seccomp_default))
    request, limit, memory = resources.container_figures(container)
    linux.resources.cpu_shares = resources.shares(request)
    if cfs_quota:
        linux.resources.cpu_period = resources.PERIOD
        linux.resources.cpu_quota = resources.quota(limit)
    linux.resources.memory_limit_in_bytes = memory
    if memory and swap_accounting:
        linux.resources.memory_swap_limit_in_bytes = memory
    if cgroup_v2:
        linux.resources.unified["memory.oom.group"] = "1"
    linux.resources.oom_score_adj = resources.oom_score_adj(pod, container, memory_capacity)
    return config


def container_annotations(pod: objects.Pod, container: objects.Container, restarts: int) -> dict[str, str]:
    """What must be known of a container when its pod is gone from the API."""
    result = {
        rs.A_HASH: objects.container_hash(container),
        rs.A_RESTARTS: str(restarts),
        rs.A_MESSAGE_PATH: container.get("terminationMessagePath") or "/dev/termination-log",
        rs.A_MESSAGE_POLICY: container.get("terminationMessagePolicy") or "File",
        rs.A_GRACE: str(objects.grace_period(pod)),
    }
    pre_stop = (container.get("lifecycle") or {}).get("preStop")
    if pre_stop:
        result[rs.A_PRESTOP] = json.dumps(pre_stop, separators=(",", ":"))
    if container.get("ports"):
        result["io.kubernetes.container.ports"] = json.dumps(container["ports"], separators=(",", ":"))
    return result


def volume_mount(
    mount: dict[str, Any], host_path: str, container_path: str, *, read_only: bool, recursive: bool
) -> Any:
    """One CRI mount of a pod volume."""
    return pb.Mount(
        host_path=host_path,
        container_path=container_path,
        readonly=read_only,
        recursive_read_only=recursive,
        propagation=_PROPAGATION.get(mount.get("mountPropagation") or "", pb.PROPAGATION_PRIVATE),
    )


def image_mount(mount: dict[str, Any], image: str, container_path: str) -> Any:
    """One CRI mount of an image volume; runtimes that do not know them refuse the container."""
    return pb.Mount(
        image=pb.ImageSpec(image=image),
        image_sub_path=mount.get("subPath") or "",
        container_path=container_path,
        readonly=True,
    )

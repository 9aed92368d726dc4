"""Security contexts as CRI wants them. Pure; raises SecurityError where a container must not be created."""

import json
from typing import Any

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.kubelet.pods import objects

MASKED = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class SecurityError(Exception):
    """The container would break its own rules; the text is its waiting message."""


def effective(pod: objects.Pod, container: objects.Container) -> dict[str, Any]:
    """The container's context over the pod's."""
    outer = pod["spec"].get("securityContext") or {}
    inner = container.get("securityContext") or {}
    shared = ("runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile", "appArmorProfile")
    return {**{k: outer[k] for k in shared if k in outer}, **inner}


def verify_non_root(pod: objects.Pod, container: objects.Container, image_uid: int | None, image_user: str) -> None:
    """Enforce runAsNonRoot against the user that the image or the pod names."""
    context = effective(pod, container)
    if not context.get("runAsNonRoot"):
        return
    tail = f"(pod: {json.dumps(objects.described(pod), ensure_ascii=False)}, container: {container['name']})"
    if context.get("runAsUser") is not None:
        if int(context["runAsUser"]) == 0:
            raise SecurityError(f"container's runAsUser breaks non-root policy {tail}")
        return
    if image_user:
        raise SecurityError(
            f"container has runAsNonRoot and image has non-numeric user ({image_user}), "
            f"cannot verify user is non-root {tail}"
        )
    if not image_uid:
        raise SecurityError(f"container has runAsNonRoot and image will run as root {tail}")


def namespace_options(pod: objects.Pod) -> Any:
    """Which Linux namespaces the pod shares with the node."""
    spec = pod["spec"]
    pid = pb.NODE if spec.get("hostPID") else pb.POD if spec.get("shareProcessNamespace") else pb.CONTAINER
    return pb.NamespaceOption(
        network=pb.NODE if spec.get("hostNetwork") else pb.POD,
        pid=pid,
        ipc=pb.NODE if spec.get("hostIPC") else pb.POD,
    )


def seccomp(profile: dict[str, Any] | None, default_runtime: bool) -> Any:
    """The seccomp profile; none asked for is Unconfined, or RuntimeDefault with seccompDefault."""
    kind = (profile or {}).get("type")
    if kind == "Localhost":
        path = f"/var/lib/kubelet/seccomp/{(profile or {}).get('localhostProfile', '')}"
        return pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost, localhost_ref=path)
    if kind == "RuntimeDefault" or (kind is None and default_runtime):
        return pb.SecurityProfile(profile_type=pb.SecurityProfile.RuntimeDefault)
    return pb.SecurityProfile(profile_type=pb.SecurityProfile.Unconfined)


def container_security(
    pod: objects.Pod, container: objects.Container, image_uid: int | None, image_user: str, seccomp_default: bool
) -> Any:
    """LinuxContainerSecurityContext for the container."""
    context = effective(pod, container)
    outer = pod["spec"].get("securityContext") or {}
    privileged = bool(context.get("privileged"))
    result = pb.LinuxContainerSecurityContext(
        privileged=privileged,
        namespace_options=namespace_options(pod),
        readonly_rootfs=bool(context.get("readOnlyRootFilesystem")),
        no_new_privs=context.get("allowPrivilegeEscalation") is False,
        seccomp=seccomp(None if privileged else context.get("seccompProfile"), seccomp_default and not privileged),
    )
    capabilities = context.get("capabilities") or {}
    result.capabilities.add_capabilities.extend(capabilities.get("add") or [])
    result.capabilities.drop_capabilities.extend(capabilities.get("drop") or [])
    if context.get("runAsUser") is not None:
        result.run_as_user.value = int(context["runAsUser"])
    elif image_user:
        result.run_as_username = image_user
    else:
        result.run_as_user.value = image_uid or 0
    if context.get("runAsGroup") is not None:
        result.run_as_group.value = int(context["runAsGroup"])
    groups = [int(g) for g in outer.get("supplementalGroups") or []]
    if outer.get("fsGroup") is not None:
        groups.insert(0, int(outer["fsGroup"]))
    result.supplemental_groups.extend(groups)
    if context.get("procMount") != "Unmasked" and not privileged:
        result.masked_paths.extend(MASKED)
        result.readonly_paths.extend(READ_ONLY)
    return result


def sandbox_security(pod: objects.Pod, seccomp_default: bool) -> Any:
    """LinuxSandboxSecurityContext for the pod."""
    outer = pod["spec"].get("securityContext") or {}
    privileged = any((c.get("securityContext") or {}).get("privileged") for c in objects.all_containers(pod))
    result = pb.LinuxSandboxSecurityContext(
        privileged=privileged,
        namespace_options=namespace_options(pod),
        seccomp=pb.SecurityProfile(profile_type=pb.SecurityProfile.RuntimeDefault),
    )
    if outer.get("runAsUser") is not None and not objects.host_network(pod):
        result.run_as_user.value = int(outer["runAsUser"])
    if outer.get("runAsGroup") is not None and outer.get("runAsUser") is not None:
        result.run_as_group.value = int(outer["runAsGroup"])
    if outer.get("fsGroup") is not None:
        result.supplemental_groups.append(int(outer["fsGroup"]))
    result.supplemental_groups.extend(int(g) for g in outer.get("supplementalGroups") or [])
    return result

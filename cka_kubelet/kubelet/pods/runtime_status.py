"""What the runtime says of one pod: kept small, because there is one for every pod."""

from typing import Any

from cka_kubelet.kubelet.pods import objects

CREATED, RUNNING, EXITED, UNKNOWN = "created", "running", "exited", "unknown"

L_CONTAINER = "io.kubernetes.container.name"
L_POD = "io.kubernetes.pod.name"
L_NAMESPACE = "io.kubernetes.pod.namespace"
L_UID = "io.kubernetes.pod.uid"
A_HASH = "io.kubernetes.container.hash"
A_RESTARTS = "io.kubernetes.container.restartCount"
A_MESSAGE_PATH = "io.kubernetes.container.terminationMessagePath"
A_MESSAGE_POLICY = "io.kubernetes.container.terminationMessagePolicy"
A_GRACE = "io.kubernetes.pod.terminationGracePeriod"
A_PRESTOP = "io.kubernetes.container.preStopHandler"


class ContainerStatus:
    """One container, running or dead. Times are nanoseconds since the epoch, 0 for "not yet".

    `figures`: cpu.shares, CPU quota in microseconds, bytes of memory, 0 for no limit; None when not told.
    """

    __slots__ = (
        "attempt",
        "created_at",
        "exit_code",
        "figures",
        "finished_at",
        "grace",
        "hash",
        "id",
        "image",
        "image_id",
        "log_path",
        "message",
        "mounts_message",
        "name",
        "reason",
        "sandbox_id",
        "started_at",
        "state",
        "user",
    )

    def __init__(self, **fields: Any) -> None:
        for slot in self.__slots__:
            setattr(self, slot, fields.get(slot))

    id: str
    name: str
    sandbox_id: str
    state: str
    attempt: int
    created_at: int
    started_at: int
    finished_at: int
    exit_code: int
    figures: tuple[int, int, int] | None
    reason: str
    message: str
    image: str
    image_id: str
    hash: str
    log_path: str
    user: dict[str, Any] | None
    mounts_message: str
    grace: int | None


class Sandbox:
    """One pod sandbox. `ready` is CRI's SANDBOX_READY."""

    __slots__ = ("attempt", "created_at", "id", "ips", "network", "ready")

    def __init__(self, sandbox_id: str, ready: bool, attempt: int, created_at: int, ips: list[str], network: int):
        self.id = sandbox_id
        self.ready = ready
        self.attempt = attempt
        self.created_at = created_at
        self.ips = ips
        self.network = network


class PodStatus:
    """A pod's sandboxes and containers, newest first, and the addresses of the newest ready sandbox."""

    __slots__ = ("containers", "ips", "name", "namespace", "sandboxes", "uid")

    def __init__(self, uid: str, name: str, namespace: str) -> None:
        self.uid = uid
        self.name = name
        self.namespace = namespace
        self.ips: list[str] = []
        self.sandboxes: list[Sandbox] = []
        self.containers: list[ContainerStatus] = []

    def find(self, container_name: str, sandbox_id: str | None = None) -> ContainerStatus | None:
        """The newest container of that name, if asked of one sandbox only."""
        for status in self.containers:
            if status.name == container_name and sandbox_id in (None, status.sandbox_id):
                return status
        return None

    def running(self) -> list[ContainerStatus]:
        return [c for c in self.containers if c.state == RUNNING]


def empty(pod: objects.Pod) -> PodStatus:
    """A pod of which the runtime knows nothing."""
    return PodStatus(objects.uid(pod), objects.name(pod), objects.namespace(pod))

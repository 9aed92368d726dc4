"""Reading a pod's state from CRI: sandboxes, containers, exit texts."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kubelet.pods import runtime_status as rs

STATES = {
    pb.CONTAINER_CREATED: rs.CREATED,
    pb.CONTAINER_RUNNING: rs.RUNNING,
    pb.CONTAINER_EXITED: rs.EXITED,
    pb.CONTAINER_UNKNOWN: rs.UNKNOWN,
}
MESSAGE_LIMIT, LOG_LIMIT, LOG_LINES = 4096, 2048, 80


States = dict[str, tuple[str, int]]


def states_of(sandboxes: Iterable[Any], containers: Iterable[Any]) -> States:
    """(CRI state, 0 for a sandbox or 1 for a container) by id."""
    return {s.id: (str(s.state), 0) for s in sandboxes} | {c.id: (str(c.state), 1) for c in containers}


class RuntimeReader:
    """Asks the runtime. Dead containers never change, so their status is asked for once (kept by id)."""

    def __init__(self, cri: CRIClient) -> None:
        self._cri = cri
        self._dead: dict[str, rs.ContainerStatus] = {}

    async def everything(self) -> tuple[list[Any], list[Any]]:
        """All sandboxes and containers that a kubelet made. Raises RpcError."""
        sandboxes = await self._cri.list_pod_sandbox(pb.PodSandboxFilter())
        containers = await self._cri.list_containers(pb.ContainerFilter())
        mine = [c for c in containers if rs.L_UID in c.labels]
        alive = {c.id for c in mine}
        for gone in [i for i in self._dead if i not in alive]:
            del self._dead[gone]
        return [s for s in sandboxes if s.metadata.uid], mine

    async def pod_status(self, uid: str, name: str, namespace: str) -> tuple[rs.PodStatus, States]:
        """Everything about one pod, and its items' states. Raises RpcError."""
        selector = {rs.L_UID: uid}
        sandboxes = await self._cri.list_pod_sandbox(pb.PodSandboxFilter(label_selector=selector))
        containers = await self._cri.list_containers(pb.ContainerFilter(label_selector=selector))
        status = await self.assemble(uid, name, namespace, list(sandboxes), list(containers))
        return status, states_of(sandboxes, containers)

    async def assemble(
        self, uid: str, name: str, namespace: str, sandboxes: list[Any], containers: list[Any]
    ) -> rs.PodStatus:
        """A PodStatus from listed items, asking for what the lists lack."""
        status = rs.PodStatus(uid, name, namespace)
        for item in sorted(sandboxes, key=lambda s: -s.created_at):
            sandbox = await self._sandbox(item, newest=not status.sandboxes)
            if sandbox is not None:
                status.sandboxes.append(sandbox)
        if status.sandboxes and status.sandboxes[0].ready:
            status.ips = status.sandboxes[0].ips
        for item in sorted(containers, key=lambda c: -c.created_at):
            container = await self._container(item)
            if container is not None:
                status.containers.append(container)
        return status

    async def _sandbox(self, item: Any, newest: bool) -> rs.Sandbox | None:
        ready = item.state == pb.SANDBOX_READY
        ips: list[str] = []
        network = pb.POD
        if newest:
            try:
                got = (await self._cri.pod_sandbox_status(item.id)).status
            except RpcError as error:
                if error.code == "NotFound":  # removed since it was listed
                    return None
                raise
            network = got.linux.namespaces.options.network
            ready = got.state == pb.SANDBOX_READY
            if ready and network != pb.NODE and got.network.ip:
                ips = [got.network.ip, *(a.ip for a in got.network.additional_ips)]
        return rs.Sandbox(item.id, ready, item.metadata.attempt, item.created_at, ips, network)

    async def _container(self, item: Any) -> rs.ContainerStatus | None:
        known = self._dead.get(item.id)
        if known is not None:
            return known
        try:
            reply = await self._cri.container_status(item.id)
        except RpcError as error:
            if error.code == "NotFound":
                return None
            raise
        status = _convert(reply.status, item.pod_sandbox_id)
        if status.state == rs.EXITED:
            self._dead[item.id] = status
        return status


def _convert(got: Any, sandbox_id: str) -> rs.ContainerStatus:
    annotations = dict(got.annotations)
    status = rs.ContainerStatus(
        id=got.id,
        name=got.labels.get(rs.L_CONTAINER) or got.metadata.name,
        sandbox_id=sandbox_id,
        state=STATES.get(got.state, rs.UNKNOWN),
        attempt=int(annotations.get(rs.A_RESTARTS, got.metadata.attempt)),
        created_at=got.created_at,
        started_at=got.started_at,
        finished_at=got.finished_at,
        exit_code=got.exit_code,
        reason=got.reason,
        message=got.message,
        image=got.image.user_specified_image or got.image.image,
        image_id=got.image_id or got.image_ref,
        hash=annotations.get(rs.A_HASH, ""),
        log_path=got.log_path,
        user=_user(got),
        figures=_figures(got),
        grace=int(annotations[rs.A_GRACE]) if annotations.get(rs.A_GRACE, "").isdigit() else None,
    )
    if status.state == rs.EXITED:
        status.message = _exit_message(got, annotations, status)
    return status


def _figures(got: Any) -> tuple[int, int, int] | None:
    if not got.HasField("resources") or not got.resources.HasField("linux"):
        return None
    linux = got.resources.linux
    return linux.cpu_shares, max(linux.cpu_quota, 0), max(linux.memory_limit_in_bytes, 0)


def _user(got: Any) -> dict[str, Any] | None:
    if not got.HasField("user") or not got.user.HasField("linux"):
        return None
    linux = got.user.linux
    return {"linux": {"gid": linux.gid, "supplementalGroups": list(linux.supplemental_groups), "uid": linux.uid}}


def _exit_message(got: Any, annotations: dict[str, str], status: rs.ContainerStatus) -> str:
    """The termination message: the file's text, or the log's end for FallbackToLogsOnError, after the runtime's own."""
    path = annotations.get(rs.A_MESSAGE_PATH, "")
    own = str(got.message)
    for mount in got.mounts:
        if path and mount.container_path == path:
            text = read_end(Path(mount.host_path), MESSAGE_LIMIT, from_start=True)
            if text:
                return own + ": " + text if own else text
    failed = status.exit_code != 0 and got.reason != "ContainerCannotRun"
    if failed and annotations.get(rs.A_MESSAGE_POLICY) == "FallbackToLogsOnError":
        text = log_end(Path(got.log_path))
        return own + ": " + text if own and text else own or text
    return own


def read_end(path: Path, limit: int, *, from_start: bool = False) -> str:
    """Up to `limit` bytes of a file that a container wrote; "" when it cannot be read."""
    try:
        with path.open("rb") as file:
            if not from_start:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - limit))
            return file.read(limit).decode("utf-8", "replace")
    except OSError:
        return ""


def log_end(path: Path) -> str:
    """The end of a container's log, without CRI's time stamps: at most 80 lines and 2 KiB."""
    lines = read_end(path, LOG_LIMIT * 8).splitlines()[-LOG_LINES:]
    entries = (line.split(" ", 3) for line in lines if line.count(" ") >= 3)
    return "".join(text if tag == "P" else text + "\n" for _, _, tag, text in entries)[-LOG_LIMIT:]


def pre_stop_of(annotations: dict[str, str]) -> dict[str, Any] | None:
    """The preStop hook recorded on a container, for pods that are no longer known."""
    text = annotations.get(rs.A_PRESTOP)
    return json.loads(text) if text else None

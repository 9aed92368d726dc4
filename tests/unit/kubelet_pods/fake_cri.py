"""A container runtime in memory: keeps state, logs calls, fails on demand."""

from typing import Any

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.errors import RpcError


class FakeCRI:
    """The part of CRIClient that the pod half calls. `fail[method]` is raised by that method."""

    def __init__(self, clock: list[float]) -> None:
        self.calls: list[str] = []
        self.fail: dict[str, RpcError] = {}
        self.sandboxes: dict[str, Any] = {}
        self.containers: dict[str, Any] = {}
        self._clock = clock
        self._next = 0

    def _call(self, method: str) -> int:
        self.calls.append(method)
        if method in self.fail:
            raise self.fail[method]
        self._next += 1
        return self._next

    def _now(self) -> int:
        return int(self._clock[0] * 1e9) + self._next

    async def run_pod_sandbox(self, config: Any, runtime_handler: str = "") -> str:
        number = self._call("RunPodSandbox")
        sandbox = pb.PodSandboxStatus(
            id=f"s{number}", metadata=config.metadata, created_at=self._now(), runtime_handler=runtime_handler
        )
        sandbox.network.ip = "10.0.0.1"
        sandbox.labels.update(config.labels)
        self.sandboxes[sandbox.id] = sandbox
        return sandbox.id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        self._call("StopPodSandbox")
        self.sandboxes[sandbox_id].state = pb.SANDBOX_NOTREADY
        for container in self.containers.values():
            if container.state == pb.CONTAINER_RUNNING:
                self.exit(container.id, 137)

    async def pod_sandbox_status(self, sandbox_id: str) -> Any:
        return pb.PodSandboxStatusResponse(status=self.sandboxes[sandbox_id])

    async def list_pod_sandbox(self, _filter: Any) -> list[Any]:
        return [
            pb.PodSandbox(id=s.id, metadata=s.metadata, state=s.state, created_at=s.created_at)
            for s in self.sandboxes.values()
        ]

    async def image_status(self, spec: Any) -> Any:
        self._call("ImageStatus")
        response = pb.ImageStatusResponse()
        if not spec.image.startswith("absent"):
            response.image.id = "sha256:1"
        return response

    async def pull_image(self, _spec: Any, _auth: Any, _sandbox: Any) -> str:
        self._call("PullImage")
        return "sha256:1"

    async def create_container(self, sandbox_id: str, config: Any, _sandbox: Any) -> str:
        number = self._call("CreateContainer")
        status = pb.ContainerStatus(
            id=f"c{number}", metadata=config.metadata, created_at=self._now(), image_ref="sha256:1"
        )
        status.labels.update(config.labels)
        status.annotations.update(config.annotations)
        status.labels["sandbox"] = sandbox_id
        self.containers[status.id] = status
        return status.id

    async def start_container(self, container_id: str) -> None:
        self._call("StartContainer")
        self.containers[container_id].state = pb.CONTAINER_RUNNING
        self.containers[container_id].started_at = self._now()

    async def stop_container(self, container_id: str, grace: int) -> None:
        self._call(f"StopContainer {grace}")
        self.exit(container_id, 143)

    async def remove_container(self, container_id: str) -> None:
        self._call("RemoveContainer")
        self.containers.pop(container_id)

    async def list_containers(self, _filter: Any) -> list[Any]:
        return [
            pb.Container(
                id=c.id,
                pod_sandbox_id=c.labels["sandbox"],
                metadata=c.metadata,
                state=c.state,
                created_at=c.created_at,
                labels=c.labels,
            )
            for c in self.containers.values()
        ]

    async def container_status(self, container_id: str) -> Any:
        if container_id not in self.containers:
            raise RpcError("NotFound", "gone")
        return pb.ContainerStatusResponse(status=self.containers[container_id])

    def exit(self, container_id: str, code: int) -> None:
        """The container's process ends."""
        container = self.containers[container_id]
        container.state = pb.CONTAINER_EXITED
        container.exit_code = code
        container.finished_at = self._now()
        container.reason = "Completed" if code == 0 else "Error"

    def newest(self) -> str:
        """The id of the last container made."""
        return list(self.containers)[-1]

"""The client of the container runtime: CRI v1 calls as methods, with upstream's deadlines, errors and log lines."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError, Message

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.channel import Channel, Logger
from cka_kubelet.cri.endpoint import socket_path
from cka_kubelet.cri.errors import CommandTimedOutError, RpcError, quote
from cka_kubelet.cri.failures import FAILURES

IDENTICAL_ERROR_DELAY = 60.0
"""Seconds in which the same ContainerStatus or stats error of one container is written once (cri-client)."""

_METHODS: dict[str, tuple[str, type[Message]]] = {
    method.name: (f"/{service.full_name}/{method.name}", getattr(pb, method.output_type.name))
    for service in (pb.DESCRIPTOR.services_by_name["RuntimeService"], pb.DESCRIPTOR.services_by_name["ImageService"])
    for method in service.methods
}
_REDUCED = ("ContainerStatus", "ContainerStats", "PodSandboxStats")


class CRIClient:
    """Calls to the runtime at `endpoint`, many at a time on one connection, which is made at the first call.

    `timeout`: seconds a call may take (the kubelet's runtimeRequestTimeout). `log` (the module `klog` fits) gets the
    lines upstream writes for failed calls and failed dials; `channel` is the number in the latter (upstream's runtime
    service has 1, its image service 4). Raises ValueError for an endpoint that is no unix socket. Every method raises
    RpcError. `observe(method, seconds, failed)` is told of every unary call's end.
    """

    def __init__(self, endpoint: str, timeout: float = 120.0, *, log: Logger | None = None, channel: int = 1) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self._log = log
        self._channel = Channel(socket_path(endpoint), log, channel)
        self._reported: dict[str, tuple[str, float]] = {}
        self.observe: Callable[[str, float, bool], None] = lambda _method, _seconds, _failed: None

    async def call(self, method: str, request: Message, *, timeout: float | None = None, quiet: bool = False) -> Any:
        """One unary call by its CRI name; the answer is the RPC's response message.

        `timeout` in seconds: None is the client's own, math.inf none at all. A failure is logged unless `quiet`.
        """
        path, response = _METHODS[method]
        seconds = self.timeout if timeout is None else timeout
        began, failed = time.monotonic(), True
        try:
            answer = await self._unary(path, request, response, None if math.isinf(seconds) else seconds)
            failed = False
        except RpcError as e:
            if not quiet:
                self._report(method, request, e)
            raise
        finally:
            self.observe(method, time.monotonic() - began, failed)
        return answer

    async def _unary(self, path: str, request: Message, response: type[Message], seconds: float | None) -> Message:
        connection = stream = None
        try:
            async with asyncio.timeout(seconds):
                connection, stream = await self._channel.start(path, request.SerializeToString(), seconds)
                answer = await stream.message()
                if answer is None:
                    raise RpcError(
                        "Internal", "cardinality violation: received no response message from non-server-streaming RPC"
                    )
                await stream.message()  # the status; raises when it is not OK
        except TimeoutError:
            waiting = "" if stream is not None else " while waiting for connections to become ready"
            raise RpcError("DeadlineExceeded", f"context deadline exceeded{waiting}") from None
        finally:
            if connection is not None and stream is not None:
                connection.cancel(stream)
        return _parse(response, answer)

    async def stream(self, method: str, request: Message) -> AsyncIterator[Any]:
        """A server-streaming call: its messages, until the server ends it or the iterator is closed."""
        path, response = _METHODS[method]
        connection, stream = await self._channel.start(path, request.SerializeToString(), None)
        try:
            while (data := await stream.message()) is not None:
                yield _parse(response, data)
        finally:
            connection.cancel(stream)

    async def validate(self, service: str = "runtime") -> None:
        """Upstream's check of a new connection. Raises RpcError whose text starts with `validate service connection:`.

        `service` is runtime (asks Version) or image (asks ImageFsInfo).
        """
        method, request = (
            ("Version", pb.VersionRequest()) if service == "runtime" else ("ImageFsInfo", pb.ImageFsInfoRequest())
        )
        try:
            await self.call(method, request, quiet=True)
        except RpcError as e:
            what = f"validate CRI v1 {service} API for endpoint {quote(self.endpoint)}"
            raise RpcError(e.code, f"validate service connection: {what}: {e}", bare=True) from None

    async def close(self) -> None:
        """Close the connection and stop dialling."""
        await self._channel.close()

    def _report(self, method: str, request: Any, error: RpcError) -> None:
        failure = FAILURES.get(method)
        if self._log is None or failure is None:
            return
        if method in _REDUCED:
            key = str(next(iter(failure.fields(request).values())))
            text, when = self._reported.get(key, ("", 0.0))
            now = time.monotonic()
            if text == str(error) and now - when < IDENTICAL_ERROR_DELAY:
                return
            self._reported[key] = (str(error), now)
        self._log.error(failure.source, failure.text, err=str(error), **failure.fields(request))

    # RuntimeService

    async def version(self) -> pb.VersionResponse:
        answer: pb.VersionResponse = await self.call("Version", pb.VersionRequest(version="v1"))
        return answer

    async def status(self, verbose: bool = False) -> pb.StatusResponse:
        """The runtime's conditions, handlers and features. RpcError if it tells less than the two conditions."""
        response: pb.StatusResponse = await self.call("Status", pb.StatusRequest(verbose=verbose))
        if len(response.status.conditions) < 2:
            raise RpcError("Unknown", "RuntimeReady or NetworkReady condition are not set", bare=True)
        return response

    async def runtime_config(self) -> pb.RuntimeConfigResponse:
        answer: pb.RuntimeConfigResponse = await self.call("RuntimeConfig", pb.RuntimeConfigRequest())
        return answer

    async def update_runtime_config(self, pod_cidr: str) -> None:
        config = pb.RuntimeConfig(network_config=pb.NetworkConfig(pod_cidr=pod_cidr))
        await self.call("UpdateRuntimeConfig", pb.UpdateRuntimeConfigRequest(runtime_config=config))

    async def run_pod_sandbox(self, config: pb.PodSandboxConfig, runtime_handler: str = "") -> str:
        """Create and start a sandbox; its id. May take twice the client's timeout."""
        request = pb.RunPodSandboxRequest(config=config, runtime_handler=runtime_handler)
        response = await self.call("RunPodSandbox", request, timeout=2 * self.timeout)
        return _given(response.pod_sandbox_id, f"PodSandboxId is not set for sandbox {quote(config.metadata.name)}")

    async def stop_pod_sandbox(self, pod_sandbox_id: str) -> None:
        await self.call("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=pod_sandbox_id))

    async def remove_pod_sandbox(self, pod_sandbox_id: str) -> None:
        await self.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod_sandbox_id))

    async def pod_sandbox_status(self, pod_sandbox_id: str, verbose: bool = False) -> pb.PodSandboxStatusResponse:
        request = pb.PodSandboxStatusRequest(pod_sandbox_id=pod_sandbox_id, verbose=verbose)
        answer: pb.PodSandboxStatusResponse = await self.call("PodSandboxStatus", request)
        return answer

    async def list_pod_sandbox(self, filter: pb.PodSandboxFilter | None = None) -> Sequence[pb.PodSandbox]:
        answer: Sequence[pb.PodSandbox] = (
            await self.call("ListPodSandbox", pb.ListPodSandboxRequest(filter=filter))
        ).items
        return answer

    async def create_container(
        self, pod_sandbox_id: str, config: pb.ContainerConfig, sandbox_config: pb.PodSandboxConfig
    ) -> str:
        """Create a container in a sandbox; its id."""
        request = pb.CreateContainerRequest(pod_sandbox_id=pod_sandbox_id, config=config, sandbox_config=sandbox_config)
        response = await self.call("CreateContainer", request)
        return _given(response.container_id, f"ContainerId is not set for container {quote(config.metadata.name)}")

    async def start_container(self, container_id: str) -> None:
        await self.call("StartContainer", pb.StartContainerRequest(container_id=container_id))

    async def stop_container(self, container_id: str, timeout: int) -> None:
        """Stop with a grace period in seconds; the call may take that much longer than others."""
        self._reported.pop(container_id, None)
        request = pb.StopContainerRequest(container_id=container_id, timeout=timeout)
        await self.call("StopContainer", request, timeout=self.timeout + timeout)

    async def remove_container(self, container_id: str) -> None:
        self._reported.pop(container_id, None)
        await self.call("RemoveContainer", pb.RemoveContainerRequest(container_id=container_id))

    async def list_containers(self, filter: pb.ContainerFilter | None = None) -> Sequence[pb.Container]:
        answer: Sequence[pb.Container] = (
            await self.call("ListContainers", pb.ListContainersRequest(filter=filter))
        ).containers
        return answer

    async def container_status(self, container_id: str, verbose: bool = False) -> pb.ContainerStatusResponse:
        request = pb.ContainerStatusRequest(container_id=container_id, verbose=verbose)
        response: pb.ContainerStatusResponse = await self.call("ContainerStatus", request)
        self._reported.pop(container_id, None)
        return response

    async def update_container_resources(
        self, container_id: str, linux: pb.LinuxContainerResources, annotations: Mapping[str, str] | None = None
    ) -> None:
        request = pb.UpdateContainerResourcesRequest(container_id=container_id, linux=linux, annotations=annotations)
        await self.call("UpdateContainerResources", request)

    async def reopen_container_log(self, container_id: str) -> None:
        await self.call("ReopenContainerLog", pb.ReopenContainerLogRequest(container_id=container_id))

    async def exec_sync(self, container_id: str, cmd: Sequence[str], timeout: int = 0) -> pb.ExecSyncResponse:
        """Run a command, collect its output. After `timeout` seconds (0: never) CommandTimedOutError is raised."""
        request = pb.ExecSyncRequest(container_id=container_id, cmd=cmd, timeout=timeout)
        try:
            deadline = self.timeout + timeout if timeout else math.inf
            answer: pb.ExecSyncResponse = await self.call("ExecSync", request, timeout=deadline)
        except RpcError as e:
            if e.code == "DeadlineExceeded":
                raise CommandTimedOutError(quote(" ".join(cmd)), f"{timeout}s") from None
            raise
        return answer

    async def exec(self, request: pb.ExecRequest) -> str:
        """The URL of a streaming server that runs the command."""
        return _given((await self.call("Exec", request)).url, "URL is not set")

    async def attach(self, request: pb.AttachRequest) -> str:
        """The URL of a streaming server for a running container's streams."""
        return _given((await self.call("Attach", request)).url, "URL is not set")

    async def port_forward(self, request: pb.PortForwardRequest) -> str:
        """The URL of a streaming server for a sandbox's ports."""
        return _given((await self.call("PortForward", request)).url, "URL is not set")

    async def container_stats(self, container_id: str) -> pb.ContainerStats:
        answer: pb.ContainerStats = (
            await self.call("ContainerStats", pb.ContainerStatsRequest(container_id=container_id))
        ).stats
        return answer

    async def list_container_stats(self, filter: pb.ContainerStatsFilter | None = None) -> Sequence[pb.ContainerStats]:
        answer: Sequence[pb.ContainerStats] = (
            await self.call("ListContainerStats", pb.ListContainerStatsRequest(filter=filter))
        ).stats
        return answer

    async def pod_sandbox_stats(self, pod_sandbox_id: str) -> pb.PodSandboxStats:
        answer: pb.PodSandboxStats = (
            await self.call("PodSandboxStats", pb.PodSandboxStatsRequest(pod_sandbox_id=pod_sandbox_id))
        ).stats
        return answer

    async def list_pod_sandbox_stats(
        self, filter: pb.PodSandboxStatsFilter | None = None
    ) -> Sequence[pb.PodSandboxStats]:
        answer: Sequence[pb.PodSandboxStats] = (
            await self.call("ListPodSandboxStats", pb.ListPodSandboxStatsRequest(filter=filter))
        ).stats
        return answer

    def get_container_events(self) -> AsyncIterator[pb.ContainerEventResponse]:
        """Container events as they happen; Unimplemented on older runtimes."""
        return self.stream("GetContainerEvents", pb.GetEventsRequest())

    # ImageService

    async def list_images(self, filter: pb.ImageFilter | None = None) -> Sequence[pb.Image]:
        answer: Sequence[pb.Image] = (await self.call("ListImages", pb.ListImagesRequest(filter=filter))).images
        return answer

    async def image_status(self, image: pb.ImageSpec, verbose: bool = False) -> pb.ImageStatusResponse:
        """The image's status; its field `image` is unset when the runtime has no such image."""
        answer: pb.ImageStatusResponse = await self.call(
            "ImageStatus", pb.ImageStatusRequest(image=image, verbose=verbose)
        )
        return answer

    async def pull_image(
        self,
        image: pb.ImageSpec,
        auth: pb.AuthConfig | None = None,
        sandbox_config: pb.PodSandboxConfig | None = None,
        timeout: float = math.inf,
    ) -> str:
        """Pull; the image's reference. No deadline by default. An Unknown error's text comes without its code."""
        request = pb.PullImageRequest(image=image, auth=auth, sandbox_config=sandbox_config)
        try:
            response = await self.call("PullImage", request, timeout=timeout)
        except RpcError as e:
            raise RpcError(e.code, e.desc, bare=e.code == "Unknown") from None
        return _given(response.image_ref, f"imageRef of image {quote(image.image)} is not set")

    async def remove_image(self, image: pb.ImageSpec) -> None:
        await self.call("RemoveImage", pb.RemoveImageRequest(image=image))

    async def image_fs_info(self) -> pb.ImageFsInfoResponse:
        answer: pb.ImageFsInfoResponse = await self.call("ImageFsInfo", pb.ImageFsInfoRequest())
        return answer


def _parse(response: type[Message], data: bytes) -> Message:
    try:
        return response.FromString(data)
    except DecodeError:
        desc = "grpc: failed to unmarshal the received message: proto: cannot parse invalid wire-format data"
        raise RpcError("Internal", desc) from None


def _given(value: str, problem: str) -> str:
    if not value:
        raise RpcError("Unknown", problem, bare=True)
    return value

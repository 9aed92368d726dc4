"""runp, create, run."""

import uuid

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.crictl import log
from cka_kubelet.crictl.app import Context
from cka_kubelet.crictl.configfile import read_message
from cka_kubelet.crictl.errors import Failure, ShowHelp, wrap
from cka_kubelet.crictl.images import credentials, pull_timeout


def load_pod(path: str) -> pb.PodSandboxConfig:
    """A sandbox configuration out of a file; a missing uid is made up. Raises Failure."""
    config = read_message(path, pb.PodSandboxConfig)
    if not config.HasField("metadata"):
        raise Failure("metadata is not set")
    if not config.metadata.uid:
        config.metadata.uid = str(uuid.uuid4())
    if not config.metadata.name or not config.metadata.namespace:
        raise Failure("name or namespace is not in metadata")
    if config.HasField("linux") and not config.linux.cgroup_parent:
        log.warning("cgroup_parent is not set. Use `runtime-config` to get the runtime cgroup driver")
    return config


def load_container(path: str) -> pb.ContainerConfig:
    """A container configuration out of a file. Raises Failure."""
    config = read_message(path, pb.ContainerConfig)
    if not config.HasField("metadata"):
        raise Failure("metadata is not set")
    if not config.metadata.name:
        raise Failure("name is not in metadata")
    if not config.HasField("image"):
        raise Failure("image is not set")
    if not config.image.image:
        raise Failure("image field is not set in image")
    config.image.user_specified_image = config.image.user_specified_image or config.image.image
    return config


async def run_pod(context: Context) -> None:
    """crictl runp"""
    if len(context.args) != 1 or not context.args[0]:
        raise ShowHelp
    runtime = await context.runtime(context.get("cancel-timeout"))
    with wrap("load podSandboxConfig"):
        config = load_pod(context.args[0])
    with wrap("run pod sandbox"):
        print(await runtime.run_pod_sandbox(config, context.get("runtime")))


async def create(context: Context) -> None:
    """crictl create"""
    if len(context.args) != 3:
        raise ShowHelp
    images = await _puller(context, pull=context.settings.pull_on_create)
    runtime = await context.runtime(context.get("cancel-timeout"))
    pod_id, container_file, pod_file = context.args
    with wrap("creating container"):
        print(await _create(context, runtime, images, pod_id, container_file, pod_file))


async def run(context: Context) -> None:
    """crictl run"""
    if len(context.args) != 2:
        raise ShowHelp
    images = await _puller(context, pull=context.settings.pull_on_run)
    runtime = await context.runtime(context.get("cancel-timeout"))
    container_file, pod_file = context.args
    with wrap("running container"):
        with wrap("load podSandboxConfig"):
            config = load_pod(pod_file)
        with wrap("run pod sandbox"):
            pod_id = await runtime.run_pod_sandbox(config, context.get("runtime"))
        with wrap("creating container failed"):
            container_id = await _create(context, runtime, images, pod_id, container_file, pod_file)
        with wrap(f'starting the container "{container_id}"'):
            await runtime.start_container(container_id)
        print(container_id)


async def _puller(context: Context, *, pull: bool) -> CRIClient | None:
    """The image service when the image is to be pulled first."""
    if context.get("no-pull") and context.get("with-pull"):
        raise Failure("conflict: no-pull and with-pull are both set")
    wanted = (pull and not context.get("no-pull")) or context.get("with-pull")
    return await context.images() if wanted else None


async def _create(
    context: Context, runtime: CRIClient, images: CRIClient | None, pod_id: str, container_file: str, pod_file: str
) -> str:
    config = load_container(container_file)
    pod = load_pod(pod_file)
    if images is not None:
        auth = credentials(context.get("creds"), context.get("auth"), context.get("username"))
        log.info(f"Pulling container image: {config.image.image}")
        spec = pb.ImageSpec(image=config.image.image, annotations=dict(config.image.annotations))
        await images.pull_image(spec, auth, pod, pull_timeout(context))
    return await runtime.create_container(pod_id, config, pod)

"""ps, inspect, start, stop, rm, update, checkpoint."""

import asyncio
import glob
import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.crictl import jsonform, log
from cka_kubelet.crictl.app import Context
from cka_kubelet.crictl.errors import ExitError, Failure, ShowHelp, join, wrap
from cka_kubelet.crictl.tables import age
from cka_kubelet.kube.tabwriter import tabulate

ID_LENGTH = 13
"""Characters of an id in a table."""

_COLUMNS = ("CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD", "NAMESPACE")
_STATES = ("created", "running", "exited", "unknown")
POD_NAME, POD_NAMESPACE = "io.kubernetes.pod.name", "io.kubernetes.pod.namespace"


def matches(pattern: str, text: str) -> bool:
    """Whether a filter's regular expression is found in the text; a wrong expression matches nothing."""
    try:
        return not pattern or re.search(pattern, text) is not None
    except re.error:
        return False


def ago(nanoseconds: int) -> str:
    """`3 minutes ago`."""
    return age(time.time() - nanoseconds / 1e9) + " ago"


def timestamp(nanoseconds: int | None) -> str:
    """RFC3339 with nanoseconds in local time; None is Go's zero time."""
    if nanoseconds is None:
        return "0001-01-01T00:00:00Z"
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).astimezone()
    zone = moment.strftime("%z")
    fraction = f".{nanoseconds % 1_000_000_000:09d}".rstrip("0").rstrip(".")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + fraction + ("Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}")


def print_pairs(title: str, pairs: dict[str, str]) -> None:
    """Labels or annotations of the verbose lists."""
    if pairs:
        print(f"{title}:")
        for key in sorted(pairs):
            print(f"\t{key} -> {pairs[key]}")


T = TypeVar("T", pb.Container, pb.PodSandbox)


def newest(items: Sequence[T], context: Context) -> list[T]:
    """Newest first, cut by --latest and --last."""
    ordered = sorted(items, key=lambda item: -item.created_at)
    count = 1 if context.get("latest") else len(ordered)
    return ordered[: context.get("last") or count]


async def listed(context: Context, runtime: CRIClient, images: CRIClient | None, **fixed: str) -> list[pb.Container]:
    """The containers the command's filters leave, newest first. `fixed` overrides flags (state)."""

    def flag(name: str, default: str = "") -> str:
        value = fixed.get(name, context.get(name) if name in context.names else default)
        return str(value)

    everything = "all" in context.names and context.get("all") and "state" not in fixed
    query = pb.ContainerFilter(id=flag("id"), pod_sandbox_id=flag("pod"), label_selector=context.labels())
    state = flag("state").lower()
    if state and state not in _STATES:
        raise ExitError("--state should be one of created, running, exited or unknown", 1)
    if not (context.get("latest") or context.get("last")) and (state or not everything):
        query.state.state = _STATES.index(state or "running")  # type: ignore[assignment]  # the stubs want the enum's wrapper
    with wrap("call list containers RPC"):
        found = await runtime.list_containers(query)
    kept = [c for c in found if matches(flag("name"), c.metadata.name)]
    kept = [c for c in kept if matches(flag("namespace"), c.labels.get(POD_NAMESPACE, "unknown"))]
    if flag("image") and images is not None:
        with wrap("check image match"):
            kept = [c for c in kept if await _same_image(images, flag("image"), c.image.image)]
    return newest(kept, context)


async def _same_image(images: CRIClient, wanted: str, used: str) -> bool:
    first = await images.image_status(pb.ImageSpec(image=wanted))
    second = await images.image_status(pb.ImageSpec(image=used))
    return first.HasField("image") and second.HasField("image") and first.image.id == second.image.id


async def show(context: Context) -> None:
    """crictl ps"""
    if context.args:
        raise ShowHelp
    runtime, images = await context.runtime(), await context.images()
    with wrap("listing containers"):
        with wrap("list containers"):
            containers = await listed(context, runtime, images)
        form = context.get("output")
        if form in ("json", "yaml"):
            return jsonform.output_message(pb.ListContainersResponse(containers=containers), form)
        if form != "table":
            raise Failure(f'unsupported output format "{form}"')
    if context.get("quiet"):
        print("".join(f"{c.id}\n" for c in containers), end="")
    elif context.get("verbose"):
        for container in containers:
            _print_verbose(container)
    else:
        print(tabulate([_COLUMNS, *[await _row(context, images, c) for c in containers]]), end="")
    return None


async def _row(context: Context, images: CRIClient, container: pb.Container) -> tuple[str, ...]:
    container_id, pod_id, image = container.id, container.pod_sandbox_id, container.image.image
    if not context.get("no-trunc"):
        container_id, pod_id = container_id[:ID_LENGTH], pod_id[:ID_LENGTH]
        if re.fullmatch(r"sha256:[0-9a-f]{64}", image):
            image = image.removeprefix("sha256:")[:ID_LENGTH]
    if context.get("resolve-image-path"):
        with wrap("failed to fetch repo image"):
            status = await images.image_status(pb.ImageSpec(image=image))
        image = status.image.repo_tags[0] if status.image.repo_tags else image
    labels = container.labels
    return (
        container_id,
        image,
        ago(container.created_at),
        _state(container.state),
        container.metadata.name,
        str(container.metadata.attempt),
        pod_id,
        labels.get(POD_NAME, "unknown"),
        labels.get(POD_NAMESPACE, "unknown"),
    )


def _state(state: int) -> str:
    return _STATES[state].capitalize() if state < len(_STATES) else "Unknown"


def _print_verbose(container: pb.Container) -> None:
    print(f"ID: {container.id}\nPodID: {container.pod_sandbox_id}")
    print(f"Namespace: {container.labels.get(POD_NAMESPACE, 'unknown')}")
    if container.metadata.name:
        print(f"Name: {container.metadata.name}")
    print(f"Attempt: {container.metadata.attempt}\nState: {_state(container.state)}")
    print(f"Image: {container.image.image}\nCreated: {ago(container.created_at)}")
    print_pairs("Labels", dict(container.labels))
    print_pairs("Annotations", dict(container.annotations))
    print()


async def inspect(context: Context) -> None:
    """crictl inspect"""
    runtime, images = await context.runtime(), await context.images()
    ids = context.args
    if not ids:
        with wrap("listing containers"):
            ids = [c.id for c in await listed(context, runtime, images)]
    if not ids:
        log.error("No IDs provided or nothing found per filter")
        raise ShowHelp
    form = context.get("output") or "json"
    documents = []
    with wrap("get the status of containers"):
        for container_id in ids:
            with wrap("get container status"):
                response = await runtime.container_status(container_id, verbose=not context.get("quiet"))
            if form == "table":
                _print_status(response, verbose=not context.get("quiet"))
            else:
                documents.append({"status": _status(response.status), **jsonform.info_values(response.info)})
        jsonform.output(documents, form, context.get("template"))


def _status(status: pb.ContainerStatus) -> dict[str, object]:
    ran = status.state != pb.CONTAINER_CREATED
    over = status.state == pb.CONTAINER_EXITED or (status.state == pb.CONTAINER_UNKNOWN and status.finished_at > 0)
    return jsonform.all_fields(status) | {
        "createdAt": timestamp(status.created_at),
        "startedAt": timestamp(status.started_at if ran else None),
        "finishedAt": timestamp(status.finished_at if over else None),
    }


def _print_status(response: pb.ContainerStatusResponse, *, verbose: bool) -> None:
    status = response.status
    print(f"ID: {status.id}")
    if status.metadata.name:
        print(f"Name: {status.metadata.name}")
    if status.metadata.attempt:
        print(f"Attempt: {status.metadata.attempt}")
    print(f"State: {pb.ContainerState.Name(status.state)}\nCreated: {ago(status.created_at)}")
    if status.state != pb.CONTAINER_CREATED:
        print(f"Started: {ago(status.started_at)}")
    if status.state == pb.CONTAINER_EXITED:
        if status.finished_at > 0:
            print(f"Finished: {ago(status.finished_at)}")
        print(f"Exit Code: {status.exit_code}")
    print_pairs("Labels", dict(status.labels))
    print_pairs("Annotations", dict(status.annotations))
    if verbose:
        print(f"Info: map[{' '.join(f'{k}:{response.info[k]}' for k in sorted(response.info))}]")


async def start(context: Context) -> None:
    """crictl start"""
    if not context.args:
        raise Failure("ID cannot be empty")
    runtime = await context.runtime()
    for container_id in context.args:
        with wrap(f'starting the container "{container_id}"'):
            await runtime.start_container(_named(container_id))
        print(container_id)


def _named(container_id: str) -> str:
    if not container_id:
        raise Failure("ID cannot be empty")
    return container_id


async def stop(context: Context) -> None:
    """crictl stop"""
    runtime = await context.runtime()
    if context.get("all") and context.args:
        raise ExitError("cannot specify CONTAINER-ID(s) when using --all", 1)
    ids = context.args
    if context.get("all"):
        with wrap("listing containers"):
            running = pb.ContainerStateValue(state=pb.CONTAINER_RUNNING)
            ids = [c.id for c in await runtime.list_containers(pb.ContainerFilter(state=running))]
        if not ids:
            print("No running containers found.")
    elif not ids:
        raise ExitError("you must specify at least one CONTAINER-ID or use --all", 1)
    for container_id in ids:
        with wrap(f'stopping the container "{container_id}"'):
            await runtime.stop_container(_named(container_id), context.get("timeout"))
        print(container_id, flush=True)


async def remove(context: Context) -> None:
    """crictl rm"""
    runtime = await context.runtime()
    ids = [c.id for c in await runtime.list_containers()] if context.get("all") else context.args
    if not ids:
        if context.get("all"):
            return log.info("No containers to remove")
        raise ShowHelp
    join(await failures(*(_remove(context, runtime, container_id) for container_id in ids)))
    return None


async def failures(*tasks: object) -> list[Exception]:
    """Run coroutines at the same time; the failures of those that failed, in their order."""
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)  # type: ignore[call-overload]  # coroutines, untyped
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, (Failure, RpcError, ExitError)):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Exception)]


async def _remove(context: Context, runtime: CRIClient, container_id: str) -> None:
    with wrap(f'getting container status "{container_id}"'):
        status = (await runtime.container_status(container_id)).status
    if status.state == pb.CONTAINER_RUNNING:
        if not context.get("force"):
            raise Failure(f'container "{container_id}" is running, please stop it first')
        with wrap(f'stopping the container "{container_id}"'):
            await runtime.stop_container(container_id, 0)
        print(container_id)
    with wrap(f'removing container "{container_id}"'):
        await runtime.remove_container(container_id)
    print(container_id, flush=True)
    if status.log_path and not context.get("keep-logs"):
        for path in (*sorted(glob.glob(glob.escape(status.log_path) + ".*")), status.log_path):  # noqa: PTH207
            try:
                os.remove(path)  # noqa: PTH107 - a path out of the runtime, kept as text
            except OSError as e:
                reason = os.strerror(e.errno or 0).lower()
                log.error(f"removing log file {path} for container {container_id} failed: remove {path}: {reason}")


async def update(context: Context) -> None:
    """crictl update"""
    if not context.args:
        raise Failure("ID cannot be empty")
    runtime = await context.runtime()
    score = context.get("oom-score-adj")
    resources = pb.LinuxContainerResources(
        cpu_period=context.get("cpu-period"),
        cpu_quota=context.get("cpu-quota"),
        cpu_shares=context.get("cpu-share"),
        memory_limit_in_bytes=context.get("memory"),
        cpuset_cpus=context.get("cpuset-cpus"),
        cpuset_mems=context.get("cpuset-mems"),
        oom_score_adj=int(score) if re.fullmatch(r"-?\d+", score) else 0,
    )
    for container_id in context.args:
        with wrap(f'updating container resources for "{container_id}"'):
            await runtime.update_container_resources(_named(container_id), resources)
        print(container_id)


async def checkpoint(context: Context) -> None:
    """crictl checkpoint"""
    if not context.args:
        raise Failure("ID cannot be empty")
    if not context.get("export"):
        raise Failure(
            "cannot checkpoint a container without specifying the checkpoint destination. "
            "Use --export=/path/to/checkpoint.tar"
        )
    runtime = await context.runtime()
    for container_id in context.args:
        request = pb.CheckpointContainerRequest(container_id=container_id, location=context.get("export"))
        with wrap(f'checkpointing the container "{container_id}" failed'):
            await runtime.call("CheckpointContainer", request)
        print(container_id)

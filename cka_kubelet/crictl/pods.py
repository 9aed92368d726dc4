"""pods, inspectp, stopp, rmp."""

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.crictl import jsonform, log
from cka_kubelet.crictl.app import Context
from cka_kubelet.crictl.containers import ID_LENGTH, ago, failures, matches, newest, print_pairs, timestamp
from cka_kubelet.crictl.errors import ExitError, Failure, ShowHelp, join, wrap
from cka_kubelet.kube.tabwriter import tabulate

_COLUMNS = ("POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME")


async def listed(context: Context, runtime: CRIClient) -> list[pb.PodSandbox]:
    """The sandboxes the command's filters leave, newest first."""
    query = pb.PodSandboxFilter(label_selector=context.labels())
    if "id" in context.names:
        query.id = context.get("id")
    state = context.get("state").lower()
    if state:
        if state not in ("ready", "notready"):
            raise ExitError("--state should be ready or notready", 1)
        query.state.state = pb.SANDBOX_READY if state == "ready" else pb.SANDBOX_NOTREADY
    with wrap("call list sandboxes RPC"):
        found = await runtime.list_pod_sandbox(query)
    kept = [p for p in found if matches(context.get("name"), p.metadata.name)]
    return newest([p for p in kept if matches(context.get("namespace"), p.metadata.namespace)], context)


async def show(context: Context) -> None:
    """crictl pods"""
    runtime = await context.runtime()
    with wrap("listing pod sandboxes"):
        with wrap("list pod sandboxes"):
            pods = await listed(context, runtime)
        form = context.get("output")
        if form in ("json", "yaml"):
            return jsonform.output_message(pb.ListPodSandboxResponse(items=pods), form)
        if form != "table":
            raise Failure(f'unsupported output format "{form}"')
    if context.get("quiet"):
        print("".join(f"{p.id}\n" for p in pods), end="")
    elif context.get("verbose"):
        for pod in pods:
            _print_verbose(pod)
    else:
        print(tabulate([_COLUMNS, *[_row(pod, truncate=not context.get("no-trunc")) for pod in pods]]), end="")
    return None


def _state(state: int) -> str:
    return "Ready" if state == pb.SANDBOX_READY else "NotReady"


def _row(pod: pb.PodSandbox, *, truncate: bool) -> tuple[str, ...]:
    return (
        pod.id[:ID_LENGTH] if truncate else pod.id,
        ago(pod.created_at),
        _state(pod.state),
        pod.metadata.name,
        pod.metadata.namespace,
        str(pod.metadata.attempt),
        pod.runtime_handler or "(default)",
    )


def _go_time(nanoseconds: int) -> str:
    """Go's time.Time as %v prints it: `2026-11-21 04:00:29.7 +0000 UTC`."""
    text = timestamp(nanoseconds)
    moment, zone = (text[:-1], "+0000 UTC") if text.endswith("Z") else (text[:-6], text[-6:].replace(":", "") + " ")
    return f"{moment.replace('T', ' ')} {zone if zone.endswith('UTC') else zone + zone.strip()}"


def _print_verbose(pod: pb.PodSandbox) -> None:
    print(f"ID: {pod.id}")
    _print_metadata(pod.metadata, attempt=pod.metadata.attempt != 0)
    print(f"Status: {_state(pod.state)}\nCreated: {_go_time(pod.created_at)}")
    print_pairs("Labels", dict(pod.labels))
    print_pairs("Annotations", dict(pod.annotations))
    print(f"Runtime: {pod.runtime_handler or '(default)'}\n")


def _print_metadata(metadata: pb.PodSandboxMetadata, *, attempt: bool) -> None:
    for title, value in (("Name", metadata.name), ("UID", metadata.uid), ("Namespace", metadata.namespace)):
        if value:
            print(f"{title}: {value}")
    if attempt:
        print(f"Attempt: {metadata.attempt}")


async def inspect(context: Context) -> None:
    """crictl inspectp"""
    runtime = await context.runtime()
    ids = context.args
    if not ids:
        with wrap("listing pod sandboxes"):
            ids = [p.id for p in await listed(context, runtime)]
    if not ids:
        log.error("No IDs provided or nothing found per filter")
        raise ShowHelp
    form = context.get("output") or "json"
    documents = []
    with wrap("get the status of pod sandboxes"):
        for pod_id in ids:
            with wrap("get pod sandbox status"):
                response = await runtime.pod_sandbox_status(pod_id, verbose=not context.get("quiet"))
            if form == "table":
                _print_status(response, verbose=not context.get("quiet"))
                continue
            status = jsonform.all_fields(response.status) | {"createdAt": timestamp(response.status.created_at)}
            documents.append({"status": status, **jsonform.info_values(response.info)})
        jsonform.output(documents, form, context.get("template"))


def _print_status(response: pb.PodSandboxStatusResponse, *, verbose: bool) -> None:
    status = response.status
    print(f"ID: {status.id}")
    _print_metadata(status.metadata, attempt=True)
    print(f"Status: {pb.PodSandboxState.Name(status.state)}\nCreated: {_go_time(status.created_at)}")
    if status.HasField("network"):
        print(f"IP Addresses: {status.network.ip}")
        for address in status.network.additional_ips:
            print(f"Additional IP: {address.ip}")
    print_pairs("Labels", dict(status.labels))
    print_pairs("Annotations", dict(status.annotations))
    if verbose:
        print(f"Info: map[{' '.join(f'{k}:{response.info[k]}' for k in sorted(response.info))}]")


async def stop(context: Context) -> None:
    """crictl stopp"""
    if not context.args:
        raise ShowHelp
    runtime = await context.runtime()
    for pod_id in context.args:
        with wrap(f'stopping the pod sandbox "{pod_id}"'):
            await _stop(runtime, pod_id)


async def _stop(runtime: CRIClient, pod_id: str) -> None:
    if not pod_id:
        raise Failure("ID cannot be empty")
    await runtime.stop_pod_sandbox(pod_id)
    print(f"Stopped sandbox {pod_id}", flush=True)


async def remove(context: Context) -> None:
    """crictl rmp"""
    runtime = await context.runtime()
    ids = [p.id for p in await runtime.list_pod_sandbox()] if context.get("all") else context.args
    if not ids:
        if context.get("all"):
            return log.info("No pods to remove")
        raise ShowHelp
    join(await failures(*(_remove(runtime, pod_id, force=context.get("force")) for pod_id in ids)))
    return None


async def _remove(runtime: CRIClient, pod_id: str, *, force: bool) -> None:
    with wrap(f'getting sandbox status of pod "{pod_id}"'):
        status = (await runtime.pod_sandbox_status(pod_id)).status
    if status.state == pb.SANDBOX_READY:
        if not force:
            raise Failure(f'pod sandbox "{pod_id}" is running, please stop it first')
        with wrap(f'stopping the pod sandbox "{pod_id}" failed'):
            await _stop(runtime, pod_id)
    with wrap(f'removing the pod sandbox "{pod_id}"'):
        await runtime.remove_pod_sandbox(pod_id)
    print(f"Removed sandbox {pod_id}", flush=True)

"""stats and statsp: two samples, and the processor time between them."""

import asyncio
from typing import Any

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.crictl import jsonform
from cka_kubelet.crictl.app import Context
from cka_kubelet.crictl.containers import ID_LENGTH
from cka_kubelet.crictl.errors import Failure, ShowHelp, wrap
from cka_kubelet.crictl.tables import size
from cka_kubelet.kube.tabwriter import tabulate

_CLEAR = "\x1b[2J\x1b[H"
_CONTAINER_COLUMNS = ("CONTAINER", "NAME", "CPU %", "MEM", "DISK", "INODES", "SWAP")
_POD_COLUMNS = ("POD", "POD ID", "CPU %", "MEM")
_WATCH_PAUSE = 0.5


async def containers(context: Context) -> None:
    """crictl stats"""
    await _show(context, "get container stats", _container_stats, _container_table)


async def pods(context: Context) -> None:
    """crictl statsp"""
    await _show(context, "get pod stats", _pod_stats, _pod_table)


async def _show(context: Context, doing: str, fetch: Any, table: Any) -> None:
    if len(context.args) > 1:
        raise ShowHelp
    runtime = await context.runtime()
    if not context.get("watch"):
        with wrap(doing):
            return await _sample(context, runtime, fetch, table)
    try:
        while True:
            await asyncio.sleep(_WATCH_PAUSE)
            await _sample(context, runtime, fetch, table)
    except asyncio.CancelledError:  # Ctrl-C is the usual end of --watch
        return None
    except (Failure, RpcError) as e:
        raise Failure(f"{doing}: {e}") from e


async def _sample(context: Context, runtime: CRIClient, fetch: Any, table: Any) -> None:
    answer = await fetch(context, runtime)
    if context.get("output") in ("json", "yaml"):
        return jsonform.output_message(answer, context.get("output"))
    old = {s.attributes.id: s for s in answer.stats}
    await asyncio.sleep(context.get("seconds"))  # the sample's length is what the user asked for
    new = (await fetch(context, runtime)).stats
    print(_CLEAR + tabulate(table(context, old, new)), end="", flush=True)
    return None


def _id(stats: Any) -> str:
    return str(stats.attributes.id)


def _wanted(context: Context) -> str:
    return context.get("id") or "".join(context.args)


async def _container_stats(context: Context, runtime: CRIClient) -> pb.ListContainerStatsResponse:
    query = pb.ContainerStatsFilter(
        id=_wanted(context), pod_sandbox_id=context.get("pod"), label_selector=context.labels()
    )
    found = await runtime.list_container_stats(query)
    return pb.ListContainerStatsResponse(stats=sorted(found, key=_id))


async def _pod_stats(context: Context, runtime: CRIClient) -> pb.ListPodSandboxStatsResponse:
    query = pb.PodSandboxStatsFilter(id=_wanted(context), label_selector=context.labels())
    with wrap("list pod sandbox stats"):
        found = await runtime.list_pod_sandbox_stats(query)
    return pb.ListPodSandboxStatsResponse(stats=sorted(found, key=_id))


def _percent(old: pb.CpuUsage, new: pb.CpuUsage) -> str:
    used = new.usage_core_nano_seconds.value
    if not used:
        return "0.00"
    duration = new.timestamp - old.timestamp
    if duration == 0:
        raise Failure("cpu stat is not updated during sample")
    return f"{(used - old.usage_core_nano_seconds.value) / duration * 100:.2f}"


def _container_table(context: Context, old: dict[str, pb.ContainerStats], new: Any) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [_CONTAINER_COLUMNS]
    for s in new:
        memory = s.memory.working_set_bytes.value
        idle = not s.cpu.usage_core_nano_seconds.value and not memory
        if s.attributes.id in old and (context.get("all") or not idle):
            row = (
                s.attributes.id[:ID_LENGTH],
                s.attributes.metadata.name,
                _percent(old[s.attributes.id].cpu, s.cpu),
                size(memory),
                size(s.writable_layer.used_bytes.value),
                str(s.writable_layer.inodes_used.value),
                size(s.swap.swap_usage_bytes.value),
            )
            rows.append(row)
    return rows


def _pod_table(_context: Context, old: dict[str, pb.PodSandboxStats], new: Any) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [_POD_COLUMNS]
    for s in new:
        cpu, memory = s.linux.cpu, s.linux.memory.working_set_bytes.value
        if s.attributes.id in old and (cpu.usage_core_nano_seconds.value or memory):
            percent = _percent(old[s.attributes.id].linux.cpu, cpu)
            rows.append((s.attributes.metadata.name, s.attributes.id[:ID_LENGTH], percent, size(memory)))
    return rows

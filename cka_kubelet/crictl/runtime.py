"""version, info, runtime-config, update-runtime-config, events, metricdescs, metricsp."""

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.crictl import jsonform, log
from cka_kubelet.crictl.app import Context
from cka_kubelet.crictl.errors import Failure, ShowHelp, wrap
from cka_kubelet.kube.tabwriter import tabulate


async def version(context: Context) -> None:
    """crictl version"""
    if context.args:
        raise ShowHelp
    runtime = await context.runtime()
    with wrap("getting the runtime version"):
        answer = await runtime.version()
    print(f"Version:  {answer.version}\nRuntimeName:  {answer.runtime_name}")
    print(f"RuntimeVersion:  {answer.runtime_version}\nRuntimeApiVersion:  {answer.runtime_api_version}")


async def info(context: Context) -> None:
    """crictl info"""
    if context.args:
        raise ShowHelp
    runtime = await context.runtime()
    with wrap("getting status of runtime"):
        answer = await runtime.status(verbose=not context.get("quiet"))
        document: dict[str, object] = {"status": jsonform.to_dict(answer.status)}
        if answer.runtime_handlers:
            document["runtimeHandlers"] = [jsonform.go_struct(handler) for handler in answer.runtime_handlers]
        if answer.HasField("features"):
            document["features"] = jsonform.go_struct(answer.features)
        document |= jsonform.info_values(answer.info)
        jsonform.output([document], context.get("output"), context.get("template"))


async def config(context: Context) -> None:
    """crictl runtime-config"""
    with wrap("get runtime client"):
        runtime = await context.runtime()
    with wrap("get runtime config"), wrap("call RuntimeConfig RPC"):
        answer = await runtime.runtime_config()
    if answer.HasField("linux"):
        row = ["cgroup driver:", pb.CgroupDriver.Name(answer.linux.cgroup_driver)]
        print(tabulate([row], minimum=10), end="")


async def update_config(context: Context) -> None:
    """crictl update-runtime-config"""
    if context.args or not context.given("pod-cidr"):
        raise ShowHelp
    runtime = await context.runtime()
    with wrap("update runtime config"):
        await runtime.update_runtime_config(context.get("pod-cidr"))
    log.info("Runtime config successfully updated")


async def events(context: Context) -> None:
    """crictl events: one document an event, until interrupted"""
    if context.args:
        raise ShowHelp
    form, template = context.get("output"), context.get("template")
    if form not in ("json", "yaml", "go-template"):
        raise Failure(f'don\'t support "{form}" format')
    if template and form != "go-template":
        raise Failure(f'template can\'t be used with "{form}" format')
    runtime = await context.runtime()
    with wrap("getting container events"):
        async for event in runtime.get_container_events():
            if form == "go-template":
                jsonform.output([jsonform.to_dict(event)], form, template)
            else:
                jsonform.output_message(event, form)
            print(end="", flush=True)


async def metric_descriptors(context: Context) -> None:
    """crictl metricdescs"""
    form = context.get("output") or "json"
    if context.args or form not in ("json", "yaml"):
        raise ShowHelp
    with wrap("get runtime service"):
        runtime = await context.runtime()
    with wrap("get metric descriptors"), wrap("list metric descriptors"):
        answer = await runtime.call("ListMetricDescriptors", pb.ListMetricDescriptorsRequest())
    jsonform.output_message(answer, form)


async def pod_metrics(context: Context) -> None:
    """crictl metricsp"""
    form = context.get("output") or "json"
    if context.args or form not in ("json", "yaml"):
        raise ShowHelp
    with wrap("get runtime service"):
        runtime = await context.runtime()
    with wrap("get pod metrics"), wrap("list pod sandbox metrics"):
        answer = await runtime.call("ListPodSandboxMetrics", pb.ListPodSandboxMetricsRequest())
    jsonform.output_message(answer, form)

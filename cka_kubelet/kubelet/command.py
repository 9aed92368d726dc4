"""The kubelet's command: from argv to a running kubelet, or to the line that says why not, and the exit code."""

import asyncio
import ctypes
import sys

from cka_kubelet.kube import klog
from cka_kubelet.kubelet import configload, flags, startup, system
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.configvalidate import validate, validate_logging
from cka_kubelet.kubelet.flagtable import FLAGS
from cka_kubelet.kubelet.version import VERSION

_PR_SET_NAME = 15
_KINDS = {"slice": "strings", "map": "<comma-delimited set of key=value pairs>", "bool": "", "version": "", "help": ""}


def set_process_name(name: str) -> None:
    """What ps and top call this process."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def usage() -> str:
    """The text of --help."""
    lines = [
        'The kubelet is the primary "node agent" that runs on each node. It can register the node with the apiserver '
        "using one of: the hostname; a flag to override the hostname; or specific logic for a cloud provider.",
        "",
        "The kubelet works in terms of a PodSpec. A PodSpec is a YAML or JSON object that describes a pod. It takes a "
        "set of PodSpecs that come primarily from the apiserver and ensures that the containers described in those "
        "PodSpecs are running and healthy.",
        "",
        "Usage:",
        "  kubelet [flags]",
        "",
        "Flags:",
    ]
    for name in sorted(FLAGS):
        flag = FLAGS[name]
        short = {"help": "-h, ", "v": "-v, "}.get(name, "    ")
        kind = _KINDS.get(flag.kind, flag.kind)
        note = f"(DEPRECATED: {flag.deprecated})" if flag.deprecated else ""
        lines.append(f"  {short}--{name} {kind}".ljust(60) + f" {note}".rstrip())
    return "\n".join(lines)


def _failed(error: object) -> int:
    klog.error("run.go:72", "command failed", err=str(error))
    return 1


def _panic(text: str) -> int:
    klog.plain(f"panic: {text}\n\ngoroutine 1 [running]:")
    klog.plain("k8s.io/kubernetes/pkg/kubelet/apis/config/v1beta1.addDefaultingFuncs.func1(...)")
    klog.plain("main.main()\n\t_output/local/go/src/k8s.io/kubernetes/cmd/kubelet/kubelet.go:36 +0x1d")
    return 2


def _configure(parsed: flags.ParsedFlags) -> KubeletConfiguration:
    """The validated configuration. Raises StartError, ConfigError or GatePanicError."""
    try:
        flags.validate(parsed)
    except flags.FlagError as error:
        raise startup.StartError(f"failed to validate kubelet flags: {error}") from error
    config = configload.load(parsed)
    problem = validate_logging(config)
    if problem is not None:
        raise startup.StartError(problem)
    klog.set_verbosity(int(config["logging"].get("verbosity") or 0))
    problem = validate(config, system.cgroup_version())
    if problem is not None:
        raise startup.StartError(
            f"failed to validate kubelet configuration, error: {problem}, path: &TypeMeta{{Kind:,APIVersion:,}}"
        )
    return config


def main(argv: list[str]) -> int:
    """Run the kubelet with these words after its name; gives the exit code."""
    set_process_name("kubelet")
    try:
        parsed = flags.parse(argv)
    except flags.FlagError as error:
        return _failed(f"failed to parse kubelet flag: {error}")
    if parsed.positional:
        return _failed(f"unknown command {parsed.positional[0]}")
    if parsed.values.get("help"):
        sys.stdout.write(usage() + "\n")
        return 0
    if parsed.text("version") in ("true", "raw"):
        sys.stdout.write(f"Kubernetes {VERSION}\n")
        return 0
    try:
        config = _configure(parsed)
        node_name = (parsed.text("hostname-override") or system.hostname()).strip().lower()
        serving = startup.serving_certificate(config, parsed, node_name)
        from cka_kubelet.kubelet.run import run  # only now: a bad flag or file need not wait for these imports

        asyncio.run(run(parsed, config, node_name, serving))
    except (startup.StartError, configload.ConfigError) as error:
        return _failed(error)
    except configload.GatePanicError as error:
        return _panic(str(error))
    return 0

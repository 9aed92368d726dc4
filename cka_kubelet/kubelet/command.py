"""The kubelet's command: from argv to a running kubelet, or to the line that says why not, and the exit code."""

import asyncio
import sys

from cka_kubelet.kube import klog
from cka_kubelet.kube.pflag import FlagError, ParsedFlags
from cka_kubelet.kube.process import set_process_name
from cka_kubelet.kubelet import configload, flags, logsettings, startup, system
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.configvalidate import validate
from cka_kubelet.kubelet.version import VERSION


def _failed(error: object) -> int:
    klog.error("run.go:72", "command failed", err=str(error))
    return 1


def _panic(text: str) -> int:
    klog.plain(f"panic: {text}\n\ngoroutine 1 [running]:")
    klog.plain("k8s.io/kubernetes/pkg/kubelet/apis/config/v1beta1.addDefaultingFuncs.func1(...)")
    klog.plain("main.main()\n\t_output/local/go/src/k8s.io/kubernetes/cmd/kubelet/kubelet.go:36 +0x1d")
    return 2


def _configure(parsed: ParsedFlags) -> KubeletConfiguration:
    """The validated configuration. Raises StartError, ConfigError or GatePanicError."""
    try:
        flags.validate(parsed)
    except FlagError as error:
        raise startup.StartError(f"failed to validate kubelet flags: {error}") from error
    config = configload.load(parsed)
    problem = logsettings.apply(config)
    if problem is not None:
        raise startup.StartError(problem)
    if klog.enabled(1, "flags.go"):
        from cka_kubelet.kubelet.flagshow import log_flags

        log_flags(parsed)
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
    except FlagError as error:
        return _failed(f"failed to parse kubelet flag: {error}")
    if parsed.positional:
        return _failed(f"unknown command {parsed.positional[0]}")
    if parsed.values.get("help"):
        from cka_kubelet.kubelet.flagshow import usage

        sys.stdout.write(usage() + "\n")
        return 0
    if parsed.text("version") in ("true", "raw"):
        sys.stdout.write(f"Kubernetes {VERSION}\n")
        return 0
    try:
        config = _configure(parsed)
        node_name = (parsed.text("hostname-override") or system.hostname()).strip().lower()
        serving = startup.serving_tls(config, parsed, node_name)
        from cka_kubelet.kubelet.run import run  # only now: a bad flag or file need not wait for these imports

        asyncio.run(run(parsed, config, node_name, serving))
    except (startup.StartError, configload.ConfigError) as error:
        return _failed(error)
    except configload.GatePanicError as error:
        return _panic(str(error))
    return 0

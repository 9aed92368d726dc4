"""The `logging` part of the configuration: its checks (component-base/logs/api/v1) and its effect on klog."""

from collections.abc import Iterator
from typing import Any

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import join_errors, quote
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.featuregates import enabled

_MOST = (1 << 31) - 1


def logging_problems(config: KubeletConfiguration) -> Iterator[str]:
    """What is wrong with the field `logging`, one text for each fault."""
    logging: dict[str, Any] = config["logging"]
    form, verbosity = str(logging["format"]), int(logging.get("verbosity") or 0)
    if form not in ("text", "json"):
        yield f"logging.format: Invalid value: {quote(form)}: Unsupported log format"
    if verbosity > _MOST:
        yield f"logging.verbosity: Invalid value: {verbosity}: Must be <= {_MOST}"
    modules = logging.get("vmodule") or []
    if modules and form != "text":
        yield "logging.vmodule: Forbidden: Only supported for text log format"
    for index, item in enumerate(modules):
        yield from _module_problems(f"logging.vmodule[{index}]", item)
    if not enabled(config, "LoggingAlphaOptions"):
        for name, options in sorted((logging.get("options") or {}).items(), reverse=True):
            for key in ("splitStream", "infoBufferSize"):
                if (options or {}).get(key) not in (None, False, 0, "0"):
                    yield f"logging.options.{name}.{key}: Forbidden: Feature LoggingAlphaOptions is disabled"


def _module_problems(where: str, item: dict[str, Any]) -> Iterator[str]:
    pattern, verbosity = str(item.get("filePattern") or ""), int(item.get("verbosity") or 0)
    if not pattern:
        yield f"{where}: Required value: File pattern must not be empty"
    if "=" in pattern or "," in pattern:
        yield f"{where}: Invalid value: {quote(pattern)}: File pattern must not contain equal sign or comma"
    if verbosity > _MOST:
        yield f"{where}: Invalid value: {verbosity}: Must be <= {_MOST}"


def apply(config: KubeletConfiguration) -> str | None:
    """Log from now on as configured. Gives the text of the start's failure when that is not possible."""
    problems = list(logging_problems(config))
    if problems:
        return f"initialize logging: {join_errors(problems)}"
    logging = config["logging"]
    modules = [(str(item["filePattern"]), int(item.get("verbosity") or 0)) for item in logging.get("vmodule") or []]
    klog.configure(json=logging["format"] == "json", vmodule=modules)
    klog.set_verbosity(int(logging.get("verbosity") or 0))
    return None

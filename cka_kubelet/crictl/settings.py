"""/etc/crictl.yaml, and which endpoint and timeout follow from it, the flags and the environment."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cka_kubelet.crictl import log
from cka_kubelet.crictl.errors import Failure
from cka_kubelet.crictl.flags import Parsed
from cka_kubelet.crictl.options import DEFAULT_TIMEOUT
from cka_kubelet.kube.gofmt import path_error, quote

FALLBACK_CONFIG = "/usr/bin/crictl.yaml"
"""Beside the program, looked at when the given file does not exist."""

OPTIONS: dict[str, Any] = {
    "runtime-endpoint": "",
    "image-endpoint": "",
    "timeout": 0,
    "debug": False,
    "pull-image-on-create": False,
    "disable-pull-on-run": False,
}
"""The keys of the file with their zero values, in the order they are listed and written."""

_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True)
class Settings:
    """What a command works with. An endpoint that is None was set nowhere: the default ones are tried in turn."""

    runtime_endpoint: str | None
    image_endpoint: str | None
    timeout: float
    debug: bool
    pull_on_create: bool
    pull_on_run: bool


def convert(key: str, text: str) -> Any:
    """The value of an option from its text. Raises Failure for a wrong number or boolean."""
    kind = type(OPTIONS[key])
    if kind is int:
        if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
            raise Failure(f"strconv.Atoi: parsing {quote(text)}: invalid syntax")
        return int(text)
    if kind is bool:
        if text not in _TRUE and text not in _FALSE:
            raise Failure(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")
        return text in _TRUE
    return text


def read(path: Path) -> dict[str, Any]:
    """The options in a config file. Raises Failure when it cannot be read or says what crictl does not know."""
    import yaml

    try:
        data = path.read_bytes()
    except OSError as e:
        raise Failure(path_error("open", path, e)) from e
    try:
        root = yaml.compose(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError) as e:
        raise Failure(f"yaml: {str(e).splitlines()[0]}") from e
    options = dict(OPTIONS)
    if not isinstance(root, yaml.MappingNode):
        return options
    for key_node, value_node in root.value:
        key = str(key_node.value)
        if key not in OPTIONS:
            raise Failure(f"Config option '{key}' is not valid")
        try:
            options[key] = convert(key, value_node.value if isinstance(value_node.value, str) else "")
        except Failure as e:
            raise Failure(f"parsing config option '{key}': {e}") from e
    return options


def create(path: Path) -> None:
    """Write a file with the zero values unless there is one. Raises Failure."""
    if not path.exists():
        write(path, OPTIONS)


def write(path: Path, options: dict[str, Any]) -> None:
    """Set the options in the file; comments and order of what is there stay. Raises Failure."""
    try:
        lines = path.read_text().splitlines() if path.exists() else []
        for key, value in options.items():
            text = _yaml_scalar(value)
            at = [i for i, line in enumerate(lines) if re.match(rf"['\"]?{key}['\"]?\s*:", line)]
            for i in at:
                comment = re.search(r"\s+#.*$", lines[i])
                lines[i] = f"{key}: {text}{comment.group() if comment else ''}"
            if not at:
                lines.append(f"{key}: {text}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    except OSError as e:
        raise Failure(path_error("open", path, e)) from e


def _yaml_scalar(value: Any) -> str:
    if isinstance(value, str):
        return value if re.fullmatch(r"[A-Za-z/][\w:/.-]*", value) else quote(value)
    return str(value).lower()


def load(flags: Parsed) -> Settings:
    """Settings from the flags, else the environment, else the file, else the defaults. Raises Failure."""
    path = Path(flags.values["config"])
    options: dict[str, Any] | None = None
    try:
        options = _find(path)
    except Failure as e:
        if "config" in flags.given:
            raise Failure(f"load config file: {e}") from e
    options = options or dict(OPTIONS)
    timeout = options["timeout"] if options["timeout"] > 0 else DEFAULT_TIMEOUT
    if "timeout" in flags.given:
        timeout = flags.values["timeout"] if flags.values["timeout"] > 0 else DEFAULT_TIMEOUT

    def endpoint(key: str) -> str | None:
        return flags.values[key] if key in flags.given else options[key] or None

    return Settings(
        endpoint("runtime-endpoint"),
        endpoint("image-endpoint"),
        timeout,
        flags.values["debug"] if "debug" in flags.given else options["debug"],
        options["pull-image-on-create"],
        not options["disable-pull-on-run"],
    )


def _find(path: Path) -> dict[str, Any]:
    try:
        path.stat()
    except FileNotFoundError:
        log.warning(f'Config "{path}" does not exist, trying next: "{FALLBACK_CONFIG}"')
        path = Path(FALLBACK_CONFIG)
        try:
            path.stat()
        except OSError as e:
            raise Failure(path_error("stat", path, e)) from e
    except OSError as e:
        raise Failure(path_error("stat", path, e)) from e
    return read(path)

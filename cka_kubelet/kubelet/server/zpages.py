"""/statusz and /flagz (k8s.io/apiserver pkg/server/statusz and flagz). Loaded when somebody first asks."""

import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from cka_kubelet.kube import apistatus
from cka_kubelet.kube.httpserver import Request, Response
from cka_kubelet.kube.times import timestamp
from cka_kubelet.kubelet.nodestartup import process_start
from cka_kubelet.kubelet.version import VERSION

_DELIMITERS = (":", ": ", "=", " ")
"""One is taken at random, so that nobody parses the text."""
_HEADER = (
    "\nkubelet {}\nWarning: This endpoint is not meant to be machine parseable, has no formatting compatibility "
    "guarantees and is for debugging purposes only.\n"
)
_PATHS = ("/configz", "/debug", "/flagz", "/healthz", "/metrics")
_GROUP = "config.k8s.io"
_TEXT, _JSON, _YAML = "text/plain", "application/json", "application/yaml"
Delimiter = Callable[[], str]


def _any() -> str:
    return random.choice(_DELIMITERS)  # noqa: S311  # no secret


def statusz(request: Request, delimiter: Delimiter = _any) -> Response:
    """What this process is and how long it has been running. There is no Go here to tell the version of."""
    born, version = process_start(), VERSION.removeprefix("v").partition("+")[0]
    short = ".".join(version.split(".")[:2])
    up = int(time.time() - born)

    def text() -> str:
        sign = delimiter()
        rows = (
            ("Started", time.strftime("%a %b %e %H:%M:%S %Z %Y", time.localtime(born))),
            ("Up", f"{up // 3600} hr {up // 60 % 60:02d} min {up % 60:02d} sec"),
            ("Go version", ""), ("Binary version", version), ("Emulation version", short), ("Paths", " ".join(_PATHS)),
        )  # fmt: skip
        return _HEADER.format("statusz") + "\n" + "".join(f"{name}{sign} {value}\n" for name, value in rows)

    fields = {
        "startTime": timestamp(int(born)), "uptimeSeconds": max(0, up), "goVersion": "", "binaryVersion": version,
        "emulationVersion": short, "paths": list(_PATHS),
    }  # fmt: skip
    return _negotiated(request, "Statusz", text, fields)


def flagz(request: Request, flags: Mapping[str, str], delimiter: Delimiter = _any) -> Response:
    """Every flag with its value; what the configuration file says does not show here."""

    def text() -> str:
        sign = delimiter()
        return _HEADER.format("flagz") + "".join(f"{name}{sign}{flags[name]}\n" for name in sorted(flags))

    return _negotiated(request, "Flagz", text, {"flags": dict(sorted(flags.items()))})


def _negotiated(request: Request, kind: str, text: Callable[[], str], fields: dict[str, Any]) -> Response:
    accept = request.header("accept").strip()
    for wanted in accept.split(",") if accept else [_TEXT]:
        media, *rest = [part.strip() for part in wanted.split(";")]
        options = dict(part.split("=", 1) for part in rest if "=" in part)
        if media in (_TEXT, "text/*", "*/*") and "as" not in options:
            return Response(200, [("content-type", "text/plain; charset=utf-8")], text().encode())
        version = options.get("v", "")
        fits = options.get("as") == kind and options.get("g") == _GROUP and version in ("v1alpha1", "v1beta1")
        if fits and media in (_JSON, _YAML):
            return _structured(media, kind, version, fields)
    message = f"only the following media types are accepted: {_JSON}, {_YAML}, {_TEXT}"
    status = apistatus.StatusError(406, "NotAcceptable", message, None)
    return Response(406, [("content-type", _JSON)], apistatus.encode(status.status()))


def _structured(media: str, kind: str, version: str, fields: dict[str, Any]) -> Response:
    body = {"kind": kind, "apiVersion": f"{_GROUP}/{version}", "metadata": {"name": "kubelet"}, **fields}
    headers = [("content-type", media)]
    if version == "v1alpha1":
        text = f"This version of the {kind.lower()} endpoint is deprecated. Please use a newer version."
        headers.append(("warning", f'299 - "{text}"'))
    if media == _JSON:
        return Response(200, headers, (json.dumps(body, separators=(",", ":")) + "\n").encode())
    import yaml  # hardly anybody asks for it

    return Response(200, headers, yaml.safe_dump(body).encode())

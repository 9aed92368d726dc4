"""What upstream's volume plugins write before MountVolume.SetUp is reported as failed."""

import re
from typing import Any

_OBJECTS = {"secret": "secret", "configmap": "configMap"}
_UNOBTAINABLE = re.compile(r'^(?:(secret|configmap) "([^"]*)" not found|failed to sync (secret|configmap) cache: .*)$')


def plugin_lines(kind: str, namespace: str, pod: str, volume: dict[str, Any], text: str) -> list[tuple[str, str]]:
    """(source, text) of the E lines of the plugin `kind` (a key of a pod's volume) whose set-up failed with `text`.

    A source that cannot be had is named (pkg/volume/{secret,configmap,projected}); projected and downwardAPI volumes
    also say that their data could not be prepared.
    """
    lines = []
    found = _UNOBTAINABLE.match(text)
    if found:
        wanted = found.group(1) or found.group(3)
        name = found.group(2) or _source_name(kind, volume)
        source = {"secret": "secret.go:189", "configMap": "configmap.go:193"}.get(
            kind, "projected.go:263" if wanted == "secret" else "projected.go:288"
        )
        lines.append((source, f"Couldn't get {_OBJECTS[wanted]} {namespace}/{name}: {text}"))
    where = f"volume {volume['name']} for pod {namespace}/{pod}: {text}"
    if kind == "projected":
        lines.append(("projected.go:194", f"Error preparing data for projected {where}"))
    if kind == "downwardAPI":
        lines.append(("downwardapi.go:186", f"Unable to prepare data for downwardAPI {where}"))
    return lines


def _source_name(kind: str, volume: dict[str, Any]) -> str:
    """The name of the object that a volume is made from; a projected volume has several, its error names none."""
    spec = volume.get(kind) or {}
    return str(spec.get("secretName") or spec.get("name") or "")

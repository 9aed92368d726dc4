"""The lines of volume plugins, as upstream's write them."""

from typing import Any

import pytest

from cka_kubelet.kubelet.volumes.complaints import plugin_lines


@pytest.mark.parametrize(
    ("kind", "spec", "text", "lines"),
    [
        (
            "secret",
            {"secretName": "s"},
            'secret "s" not found',
            ['secret.go Couldn\'t get secret t/s: secret "s" not found'],
        ),
        (
            "configMap",
            {"name": "c"},
            "failed to sync configmap cache: late",
            ["configmap.go Couldn't get configMap t/c: failed to sync configmap cache: late"],
        ),
        (
            "projected",
            {"sources": [{"configMap": {"name": "ca"}}]},
            'configmap "ca" not found',
            [
                'projected.go Couldn\'t get configMap t/ca: configmap "ca" not found',
                'projected.go Error preparing data for projected volume v for pod t/p: configmap "ca" not found',
            ],
        ),
        ("configMap", {"name": "c"}, "configmap references non-existent config key: k", []),
        ("hostPath", {"path": "/x"}, "hostPath type check failed: /x is not a directory", []),
    ],
)
def test_a_plugin_names_what_it_could_not_get(kind: str, spec: dict[str, Any], text: str, lines: list[str]) -> None:
    found = plugin_lines(kind, "t", "p", {"name": "v", kind: spec}, text)
    assert [f"{source.partition(':')[0]} {line}" for source, line in found] == lines

"""The CNI configuration is no JSON: a comma is missing."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, Step, WriteFile

_DIRECTORY = "/etc/cni/net.d"
_COMMA = re.compile(r"(?<=[\"\w\]}]),(?=[ \t]*\n)")


class CNIConfigMalformed:
    """Take one comma at a line's end out of every conflist; containerd notices by itself."""

    name = "cni-config-malformed"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        steps = []
        for path in context.files(context.node, _DIRECTORY):
            text = context.text(path) if path.endswith(".conflist") else ""
            if commas := list(_COMMA.finditer(text)):
                comma = context.random.choice(commas)
                steps.append(WriteFile(path, (text[: comma.start()] + text[comma.end() :]).encode()))
        if not steps:
            raise ValueError(f"{_DIRECTORY} holds no list of plugins over several lines")
        return steps

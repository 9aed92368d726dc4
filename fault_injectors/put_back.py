"""Faults that come back after a repair: something on the node writes the wrong setting again."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Context, DaemonReload, Parameter, ReplaceText, Step, Unit, WriteFile
from fault_injectors.kubelet_unit import drop_in

_CONFIG = "/var/lib/kubelet/config.yaml"
_ENDPOINT = re.compile(r"containerRuntimeEndpoint:[ \t]*\S+")
_FLAGS = "/var/lib/kubelet/kubeadm-flags.env"
_LINE = re.compile(r'^KUBELET_KUBEADM_ARGS="(.*)"$', re.MULTILINE)
_KUBELET = "kubelet.service"


class EndpointPutBack:
    """A drop-in's ExecStartPre writes a wrong `containerRuntimeEndpoint` before every start of the kubelet."""

    name = "endpoint-put-back"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        match = _ENDPOINT.search(context.text(_CONFIG))
        if match is None:
            raise ValueError(f"{_CONFIG} names no containerRuntimeEndpoint")
        wrong = f"containerRuntimeEndpoint: unix://{context.random.choice(('/run/crio/crio.sock', '/run/cri.sock'))}"
        script = f"/usr/local/sbin/{context.random.choice(('kubelet-prepare', 'node-defaults', 'apply-profile'))}"
        text = f"#!/bin/sh\nexec sed -i 's#^containerRuntimeEndpoint:.*#{wrong}#' {_CONFIG}\n"
        return (
            WriteFile(script, text.encode(), 0o755),
            WriteFile(drop_in(context), f"[Service]\nExecStartPre={script}\n".encode()),
            ReplaceText(_CONFIG, match.group(), wrong),
            DaemonReload(),
            Unit(_KUBELET, "restart"),
        )


_SERVICE = """\
[Unit]
Description=Keep this node's profile
Before=kubelet.service

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/{name}

[Install]
WantedBy=multi-user.target
"""
_TIMER = """\
[Unit]
Description=Look after this node's profile

[Timer]
OnActiveSec={seconds}
OnUnitInactiveSec={seconds}
AccuracySec=1

[Install]
WantedBy=multi-user.target
"""
_SCRIPT = """\
#!/bin/sh
# The profile is what counts; changes made on the node are taken back.
cmp -s {source} {flags} && exit 0
cp {source} {flags}
systemctl --no-block try-restart kubelet.service
"""


class FlagsPutBack:
    """A service copies flags with a mistake over kubeadm-flags.env, at every boot and every so often by a timer."""

    name = "flags-put-back"
    parameters = (
        Parameter("timer", True, "also by a timer, not at boot alone"),
        Parameter("seconds", 0, "how often; 0 chooses 20 to 40"),
    )

    def steps(self, context: Context) -> Sequence[Step]:
        match = _LINE.search(context.text(_FLAGS))
        if match is None:
            raise ValueError(f"{_FLAGS} does not set KUBELET_KUBEADM_ARGS")
        name = context.random.choice(("node-profile", "config-sync", "fleet-agent"))
        flag = context.random.choice(("--network-plugin=cni", "--container-runtime=remote"))
        seconds = int(context.parameters["seconds"]) or context.random.randint(20, 40)
        source = f"/usr/local/share/{name}.env"
        wrong = f'KUBELET_KUBEADM_ARGS="{f"{match.group(1)} {flag}".strip()}"\n'.encode()
        steps: list[Step] = [
            WriteFile(source, wrong),
            WriteFile(_FLAGS, wrong),
            WriteFile(f"/usr/local/sbin/{name}", _SCRIPT.format(source=source, flags=_FLAGS).encode(), 0o755),
            WriteFile(f"/etc/systemd/system/{name}.service", _SERVICE.format(name=name).encode()),
        ]
        if context.parameters["timer"]:
            steps.append(WriteFile(f"/etc/systemd/system/{name}.timer", _TIMER.format(seconds=seconds).encode()))
        steps += [DaemonReload(), Unit(f"{name}.service", "enable")]
        if context.parameters["timer"]:
            steps += [Unit(f"{name}.timer", "enable"), Unit(f"{name}.timer", "start")]
        return [*steps, Unit(_KUBELET, "restart")]

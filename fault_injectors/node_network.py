"""Things on the node, outside of Kubernetes, that come between the kubelet and its ports."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Context, DaemonReload, Parameter, Step, Unit, WriteFile

_KUBECONFIG = "/etc/kubernetes/kubelet.conf"
_SERVER = re.compile(r"server:\s*https://(\S+?):(\d+)\s*$", re.MULTILINE)
_KUBELET = "kubelet.service"
_RULES = """\
#!/usr/sbin/nft -f
# Outgoing connections that were not asked for in the last review
table inet {table} {{
    chain output {{
        type filter hook output priority filter; policy accept;
        tcp dport {port} {action}
    }}
}}
"""
_FILTER = """\
[Unit]
Description=Outgoing connections

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {rules}
ExecStop=-/usr/sbin/nft delete table inet {table}

[Install]
WantedBy=multi-user.target
"""


class APIServerFiltered:
    """Reject or drop what the node sends to the API server's port, by a unit that is enabled; restart the kubelet."""

    name = "api-server-filtered"
    parameters = (Parameter("how", "", "empty chooses", choices=("", "reject", "drop")),)

    def steps(self, context: Context) -> Sequence[Step]:
        match = _SERVER.search(context.text(_KUBECONFIG))
        if match is None:
            raise ValueError(f"{_KUBECONFIG} has no server line with a port")
        how = str(context.parameters["how"] or context.random.choice(("reject", "drop")))
        name = context.random.choice(("egress-policy", "outbound-filter", "cis-baseline"))
        rules, table = f"/etc/{name}.nft", name.replace("-", "_")
        action = "reject with tcp reset" if how == "reject" else "drop"
        return (
            WriteFile(rules, _RULES.format(table=table, port=match.group(2), action=action).encode()),
            WriteFile(f"/etc/systemd/system/{name}.service", _FILTER.format(rules=rules, table=table).encode()),
            DaemonReload(),
            Unit(f"{name}.service", "enable"),
            Unit(f"{name}.service", "start"),
            Unit(_KUBELET, "restart"),
        )


_LISTENER = """\
[Unit]
Description=Reports of this machine
Before=kubelet.service

[Service]
ExecStart=/usr/bin/python3 -m http.server {port} --directory /usr/share/doc
ExecStartPost=-/usr/bin/timeout 5 sh -c 'until ss -tlnH "sport = :{port}" | grep -q .; do sleep 0.1; done'
Restart=always

[Install]
WantedBy=multi-user.target
"""


class KubeletPortTaken:
    """Another service, enabled, listens at the kubelet's port before the kubelet does."""

    name = "kubelet-port-taken"
    parameters = (Parameter("port", 10250, "the port"),)

    def steps(self, context: Context) -> Sequence[Step]:
        name = context.random.choice(("node-reports", "asset-inventory", "status-page"))
        unit = _LISTENER.format(port=context.parameters["port"])
        return (
            Unit(_KUBELET, "stop"),
            WriteFile(f"/etc/systemd/system/{name}.service", unit.encode()),
            DaemonReload(),
            Unit(f"{name}.service", "enable"),
            Unit(f"{name}.service", "start"),
            Unit(_KUBELET, "start"),
        )

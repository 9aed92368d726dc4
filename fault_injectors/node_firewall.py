"""A packet filter of the node's own, started at boot, that keeps a port from everybody else."""

from collections.abc import Sequence

from cka_kubelet.faults import Context, DaemonReload, Parameter, Step, Unit, WriteFile

_NAMES = ("host-hardening", "edge-filter", "site-firewall", "audit-baseline")
_RULES = """\
#!/usr/sbin/nft -f
# {title}: only what was asked for in the last review
table inet {table} {{
    chain input {{
        type filter hook input priority filter; policy accept;
        iif "lo" accept
        ct state established,related accept
        tcp dport {port} {action}
    }}
}}
"""
_UNIT = """\
[Unit]
Description={title}
Before=network-pre.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {rules}
ExecStop=/usr/sbin/nft delete table inet {table}

[Install]
WantedBy=multi-user.target
"""


class PortFiltered:
    """Load a table of nftables that refuses a port to all but the node itself, by a unit that is enabled."""

    name = "port-filtered"
    parameters = (
        Parameter("port", 10250, "the TCP port"),
        Parameter("drop", False, "drop silently instead of refusing"),
    )

    def steps(self, context: Context) -> Sequence[Step]:
        name = context.random.choice(_NAMES)
        rules = f"/etc/{name}.nft"
        words = {
            "title": name.replace("-", " ").capitalize(),
            "table": name.replace("-", "_"),
            "port": context.parameters["port"],
            "action": "drop" if context.parameters["drop"] else "reject with tcp reset",
            "rules": rules,
        }
        unit = f"{name}.service"
        return (
            WriteFile(rules, _RULES.format(**words).encode()),
            WriteFile(f"/etc/systemd/system/{unit}", _UNIT.format(**words).encode()),
            DaemonReload(),
            Unit(unit, "enable"),
            Unit(unit, "start"),
        )

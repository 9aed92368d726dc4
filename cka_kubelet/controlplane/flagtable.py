"""Every flag of kube-apiserver, kube-controller-manager and kube-scheduler 1.36, in the sections of their help.

One line a flag: `name kind [=default]`, below `[section]`; `!text` instead of a default is why it is deprecated. Kinds
are those of kube/flagvalues.py.
"""

from cka_kubelet.kube.pflag import Flag

Sections = dict[str, list[Flag]]


def _flag(line: str) -> Flag:
    name, kind, *rest = line.split(maxsplit=2)
    extra = rest[0] if rest else ""
    if extra.startswith("!"):
        return Flag(name, kind, deprecated=extra[1:])
    return Flag(name, kind, default=extra[1:])


def _sections(table: str) -> Sections:
    found: Sections = {}
    section: list[Flag] = []
    for line in filter(None, table.splitlines()):
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), [])
        else:
            section.append(_flag(line))
    return found


def api_server() -> Sections:
    """kube-apiserver's, and where objects are kept without etcd."""
    from cka_kubelet.controlplane import apiserverflags  # no program needs the others\' flags

    return {**_sections(apiserverflags.TABLE), "embedded storage": [Flag("data-dir", "string")]}


def controller_manager() -> Sections:
    """kube-controller-manager's."""
    from cka_kubelet.controlplane import managerflags  # no program needs the others\' flags

    return _sections(managerflags.TABLE)


def scheduler() -> Sections:
    """kube-scheduler's."""
    from cka_kubelet.controlplane import schedulerflags  # no program needs the others\' flags

    return _sections(schedulerflags.TABLE)


def all_in_one() -> Sections:
    """Those of the API server, and what the controller manager has besides."""
    server = api_server()
    taken = {flag.name for section in server.values() for flag in section}
    others = (flag for section in controller_manager().values() for flag in section if flag.name not in taken)
    return {**server, "controllers": list(others)}

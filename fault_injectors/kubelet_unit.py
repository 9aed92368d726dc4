"""What systemd does with the kubelet besides starting it: drop-ins, permissions, limits, what it has read."""

from collections.abc import Sequence

from cka_kubelet.faults import Absent, Context, DaemonReload, Parameter, ReplaceText, SetMode, Step, Unit, WriteFile

DROP_INS = "/usr/lib/systemd/system/kubelet.service.d"
_PROGRAM = "/usr/bin/kubelet"
_FILES = ("20-tuning.conf", "30-site.conf", "50-limits.conf", "90-local.conf")
_RESTART = Unit("kubelet.service", "restart")


def drop_in(context: Context) -> str:
    """The path of a drop-in that is not there yet. Raises ValueError when all are."""
    taken = set(context.files(context.node, DROP_INS))
    free = [path for name in _FILES if (path := f"{DROP_INS}/{name}") not in taken]
    if not free:
        raise ValueError(f"{DROP_INS} has all of {', '.join(_FILES)} already")
    return context.random.choice(free)


class KubeletNotExecutable:
    """Take the right to execute from the kubelet's program and restart it: systemd's 203/EXEC."""

    name = "kubelet-not-executable"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        return (SetMode(_PROGRAM, context.random.choice((0o644, 0o640, 0o600))), _RESTART)


class KubeletOtherConfig:
    """A later drop-in gives the kubelet a configuration file that does not exist."""

    name = "kubelet-other-config"
    parameters = (Parameter("path", "", "the path of that file; empty chooses one"),)

    def steps(self, context: Context) -> Sequence[Step]:
        names = ("kubelet-config.yaml", "config.yml", "config-v2.yaml")
        path = str(context.parameters["path"] or f"/var/lib/kubelet/{context.random.choice(names)}")
        text = f'[Service]\nEnvironment="KUBELET_CONFIG_ARGS=--config={path}"\n'
        return (Absent(path), WriteFile(drop_in(context), text.encode()), DaemonReload(), _RESTART)


class KubeletUnprivileged:
    """A drop-in lets the kubelet run as a user who may read nothing that it needs."""

    name = "kubelet-unprivileged"
    parameters = (Parameter("user", "", "that user; empty chooses one that every Debian has"),)

    def steps(self, context: Context) -> Sequence[Step]:
        user = str(context.parameters["user"] or context.random.choice(("nobody", "daemon", "www-data")))
        text = f"[Service]\n# least privilege\nUser={user}\n"
        return (WriteFile(drop_in(context), text.encode()), DaemonReload(), _RESTART)


class KubeletFrozen:
    """A drop-in stops the kubelet's process as soon as it runs: systemd says active, nothing answers."""

    name = "kubelet-frozen"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        text = "[Service]\nExecStartPost=/usr/bin/kill -STOP $MAINPID\n"
        return (WriteFile(drop_in(context), text.encode()), DaemonReload(), _RESTART)


class KubeletStandalone:
    """A drop-in empties the arguments that name the kubeconfig: the kubelet runs, and knows of no cluster."""

    name = "kubelet-standalone"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        text = '[Service]\nEnvironment="KUBELET_KUBECONFIG_ARGS="\n'
        return (WriteFile(drop_in(context), text.encode()), DaemonReload(), _RESTART)


class KubeletStartLimit:
    """A drop-in limits how often the kubelet may be started; to be used before a fault with which it ends at once."""

    name = "kubelet-start-limit"
    parameters = (Parameter("burst", 0, "how often within an hour; 0 chooses 3 to 5"),)

    def steps(self, context: Context) -> Sequence[Step]:
        burst = int(context.parameters["burst"]) or context.random.randint(3, 5)
        text = f"[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst={burst}\n\n[Service]\nRestartSec=1\n"
        return (WriteFile(drop_in(context), text.encode()), DaemonReload(), _RESTART)


class UnitNotReloaded:
    """systemd runs the kubelet as a file said that was put right since: nobody told it to read that file again."""

    name = "unit-not-reloaded"
    parameters = (Parameter("path", "", "the program it still starts; empty chooses one"),)

    def steps(self, context: Context) -> Sequence[Step]:
        old = f"ExecStart={_PROGRAM} "
        path = str(context.parameters["path"] or context.random.choice(("/usr/local/bin/kubelet", "/opt/bin/kubelet")))
        for file in context.files(context.node, DROP_INS):
            if file.endswith(".conf") and old in context.text(file):
                return (
                    Absent(path),
                    ReplaceText(file, old, f"ExecStart={path} "),
                    DaemonReload(),
                    _RESTART,
                    ReplaceText(file, f"ExecStart={path} ", f"# put right\n{old}"),
                )
        raise ValueError(f"no drop-in of the kubelet has {old.strip()}")

"""Values in the kubelet's configuration file, each valid YAML, with which it does not start; or no file at all."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Absent, Context, MoveFile, Parameter, ReplaceText, Step, Unit, WriteFile

_CONFIG = "/var/lib/kubelet/config.yaml"
_CPU_STATE = "/var/lib/kubelet/cpu_manager_state"
_RESTART = Unit("kubelet.service", "restart")
_MODE = re.compile(r"^authorization:\n(?:[ ]+.*\n)*?[ ]+mode:[ \t]*(\S+)$", re.MULTILINE)
_WRONG_TYPES = (
    (r"^rotateCertificates: true$", 'rotateCertificates: "true"'),
    (r"^clusterDNS:\n- (\S+)$", r"clusterDNS: \1"),
    (r"^clusterDomain: (\S+)$", r"clusterDomain: [\1]"),
)


def _appended(context: Context, key: str, lines: str) -> WriteFile:
    text = context.text(_CONFIG)
    if f"\n{key}:" in text:
        raise ValueError(f"{_CONFIG} sets {key} already")
    return WriteFile(_CONFIG, f"{text.rstrip()}\n{lines}\n".encode())


class ConfigMoved:
    """Move config.yaml away and restart the kubelet."""

    name = "config-moved"
    parameters = (Parameter("to", "", "the new path; empty chooses one"),)

    def steps(self, context: Context) -> Sequence[Step]:
        places = ("/var/lib/kubelet/config.yaml.dpkg-old", "/var/backups/kubelet-config.yaml", "/root/config.yaml")
        return (MoveFile(_CONFIG, str(context.parameters["to"] or context.random.choice(places))), _RESTART)


class ConfigWrongType:
    """Give one key a value of another type (text for a truth, one value for a list), and restart the kubelet."""

    name = "config-wrong-type"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        text = context.text(_CONFIG)
        usable = [pair for pair in _WRONG_TYPES if re.search(pair[0], text, re.MULTILINE)]
        if not usable:
            raise ValueError(f"{_CONFIG} has none of the keys that this fault changes")
        pattern, wrong = context.random.choice(usable)
        return (WriteFile(_CONFIG, re.sub(pattern, wrong, text, count=1, flags=re.MULTILINE).encode()), _RESTART)


class FeatureGateGone:
    """Set a feature gate that releases ago was taken out, and restart the kubelet."""

    name = "feature-gate-gone"
    parameters = (Parameter("gate", "", "the gate; empty chooses one"),)

    def steps(self, context: Context) -> Sequence[Step]:
        gates = ("DynamicKubeletConfig", "CSIMigration", "EphemeralContainers")
        gate = str(context.parameters["gate"] or context.random.choice(gates))
        return (_appended(context, "featureGates", f"featureGates:\n  {gate}: true"), _RESTART)


class AuthorizationModeWrong:
    """Change `authorization.mode` to a word that the kubelet does not know, and restart it."""

    name = "authorization-mode-wrong"
    parameters = (Parameter("mode", "", "that word; empty chooses one that the API server knows, or a slip"),)

    def steps(self, context: Context) -> Sequence[Step]:
        match = _MODE.search(context.text(_CONFIG))
        if match is None:
            raise ValueError(f"{_CONFIG} has no authorization.mode")
        mode = str(context.parameters["mode"] or context.random.choice(("RBAC", "webhook", "Node")))
        changed = match.group()[: match.start(1) - match.start()] + mode
        return (ReplaceText(_CONFIG, match.group(), changed), _RESTART)


class CPUPolicyStatic:
    """Ask for the static CPU manager policy without reserving any CPU, which it needs, and restart the kubelet."""

    name = "cpu-policy-static"
    parameters: tuple[Parameter, ...] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        change = _appended(context, "cpuManagerPolicy", "cpuManagerPolicy: static")
        return (change, self._state(context), _RESTART)

    def _state(self, context: Context) -> Step:
        """What the CPU manager remembers, as it is: a repair that keeps the policy changes it, so it is put back."""
        try:
            return WriteFile(_CPU_STATE, context.read(context.node, _CPU_STATE))
        except FileNotFoundError:
            return Absent(_CPU_STATE)

"""The node is Ready, what runs goes on, and yet no new pod gets its sandbox or its container."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Context, Parameter, RemoveFile, ReplaceText, Step, Unit

_CONTAINERD = "/etc/containerd/config.toml"
_NETWORKS = "/etc/cni/net.d"
_PLUGINS = "/opt/cni/bin"
_RESTART = Unit("containerd.service", "restart")


class SandboxImageWrong:
    """Name a sandbox image that no registry has, and restart containerd."""

    name = "sandbox-image-wrong"
    parameters = (Parameter("image", "", "the wrong image; empty chooses a misspelt one"),)

    def steps(self, context: Context) -> Sequence[Step]:
        old = re.search(r'sandbox_image = "([^"]+)"', context.text(_CONTAINERD))
        if old is None:
            raise ValueError(f"{_CONTAINERD} names no sandbox_image")
        right = old.group(1)
        tag = right.rpartition(":")[2]
        wrong = (
            right.replace("pause", "puase"),
            right.replace(f":{tag}", ":3.01"),
            right.replace("registry.k8s.io", "registry.k8s.local"),
            right.replace("pause", "pause-amd46"),
        )
        image = str(context.parameters["image"] or context.random.choice(wrong))
        return (ReplaceText(_CONTAINERD, old.group(), f'sandbox_image = "{image}"'), _RESTART)


class RuntimeBinaryWrong:
    """Let containerd start containers with a runc that is not there, and restart it."""

    name = "runtime-binary-wrong"
    parameters = (Parameter("path", "", "the wrong path; empty chooses one that other packages use"),)

    def steps(self, context: Context) -> Sequence[Step]:
        text = context.text(_CONTAINERD)
        old = re.search(r"^([ \t]*)SystemdCgroup[ \t]*=.*$", text, re.MULTILINE)
        if old is None or "BinaryName" in text:
            raise ValueError(f"{_CONTAINERD} has no options of runc to which BinaryName could be added")
        paths = ("/usr/local/sbin/runc", "/opt/runc/bin/runc", "/usr/local/bin/crun", "/usr/libexec/runc")
        path = str(context.parameters["path"] or context.random.choice(paths))
        return (ReplaceText(_CONTAINERD, old.group(), f'{old.group()}\n{old.group(1)}BinaryName = "{path}"'), _RESTART)


class NetworkPluginMissing:
    """Remove one of the programs that the pod network's configuration calls."""

    name = "network-plugin-missing"
    parameters = (Parameter("plugin", "", "its name; empty chooses among those in use"),)

    def steps(self, context: Context) -> Sequence[Step]:
        used = _plugins(context)
        plugin = str(context.parameters["plugin"] or context.random.choice(used))
        return (RemoveFile(f"{_PLUGINS}/{plugin}"),)


class NetworkPluginMisspelt:
    """Misspell one of the programs that the pod network's configuration calls."""

    name = "network-plugin-misspelt"
    parameters = (Parameter("plugin", "", "which one; empty chooses among those in use"),)

    def steps(self, context: Context) -> Sequence[Step]:
        plugin = str(context.parameters["plugin"] or context.random.choice(_plugins(context)))
        for file in _network_files(context):
            for quoted in (f'"type": "{plugin}"', f'"type":"{plugin}"'):
                if quoted in context.text(file):
                    at = context.random.randrange(1, len(plugin) - 1)
                    wrong = plugin[:at] + plugin[at + 1] + plugin[at] + plugin[at + 2 :]
                    wrong = wrong if wrong != plugin else plugin[:-1]
                    return (ReplaceText(file, quoted, quoted.replace(plugin, wrong)),)
        raise ValueError(f"no file below {_NETWORKS} uses {plugin}")


def _network_files(context: Context) -> list[str]:
    return [path for path in context.files(context.node, _NETWORKS) if path.endswith((".conflist", ".conf"))]


def _plugins(context: Context) -> list[str]:
    """What the network's configuration calls. Raises ValueError when that is nothing."""
    text = "".join(context.text(file) for file in _network_files(context))
    used = [name for name in dict.fromkeys(re.findall(r'"type":\s*"([a-z-]+)"', text)) if len(name) > 3]
    if not used:
        raise ValueError(f"no file below {_NETWORKS} calls a plugin")
    return used

"""The control plane's manifests: a wrong flag, image or program in one, or one that is elsewhere."""

import re
from collections.abc import Sequence

from cka_kubelet.faults import Context, MoveFile, Parameter, ReplaceText, Step

_MANIFESTS = "/etc/kubernetes/manifests"
_COMPONENT = Parameter(
    "component",
    "kube-apiserver",
    "whose manifest",
    ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
)


def _path(context: Context) -> str:
    return f"{_MANIFESTS}/{context.parameters['component']}.yaml"


def _command(context: Context) -> tuple[str, list[str]]:
    """Indentation with dash of the items of the container's command, and its words as they stand."""
    match = re.search(r"^( *)- command:\n((?:\1  - .*\n)+)", context.text(_path(context)), re.MULTILINE)
    if match is None:
        raise ValueError(f"{_path(context)} has no command as kubeadm writes it")
    dash = f"{match[1]}  - "
    return dash, [line.removeprefix(dash) for line in match[2].splitlines()]


class StaticPodFlag:
    """Give a flag of a component another value, add it when it is not there, or take it out."""

    name = "static-pod-flag"
    parameters = (
        _COMPONENT,
        Parameter("flag", "kubelet-https", "the flag without its dashes"),
        Parameter("value", "true", "its new value; empty takes the flag out"),
    )

    def steps(self, context: Context) -> Sequence[Step]:
        dash, words = _command(context)
        flag, value = f"--{context.parameters['flag']}", str(context.parameters["value"])
        new = f"{dash}{flag}={value}\n" if value else ""
        old = next((word for word in words if word.split("=")[0] == flag), None)
        if old is not None:
            return (ReplaceText(_path(context), f"{dash}{old}\n", new),)
        if not new:
            raise ValueError(f"{_path(context)} has no {flag}")
        before = max((word for word in words[1:] if word < flag), default=words[0])
        return (ReplaceText(_path(context), f"{dash}{before}\n", f"{dash}{before}\n{new}"),)


class StaticPodImage:
    """Give a component an image that does not exist."""

    name = "static-pod-image"
    parameters = (_COMPONENT, Parameter("image", "", "the image; empty chooses a tag that was never released"))

    def steps(self, context: Context) -> Sequence[Step]:
        match = re.search(r"^ *image: (\S+)$", context.text(_path(context)), re.MULTILINE)
        if match is None:
            raise ValueError(f"{_path(context)} names no image")
        image = str(context.parameters["image"]) or f"{match[1]}{context.random.randrange(10)}"
        return (ReplaceText(_path(context), match[0], match[0].replace(match[1], image)),)


class StaticPodProgram:
    """Let the container start a program that is not in its image."""

    name = "static-pod-program"
    parameters = (_COMPONENT, Parameter("program", "", "the program; empty misspells the right one"))

    def steps(self, context: Context) -> Sequence[Step]:
        dash, words = _command(context)
        at = context.random.randrange(2, len(words[0]))
        program = str(context.parameters["program"]) or words[0][:at] + words[0][at - 1] + words[0][at:]
        return (ReplaceText(_path(context), f"command:\n{dash}{words[0]}\n", f"command:\n{dash}{program}\n"),)


class StaticPodMoved:
    """Move a component's manifest to where the kubelet does not look."""

    name = "static-pod-moved"
    parameters = (_COMPONENT, Parameter("directory", "/etc/kubernetes", "where it goes"))

    def steps(self, context: Context) -> Sequence[Step]:
        return (MoveFile(_path(context), f"{context.parameters['directory']}/{context.parameters['component']}.yaml"),)

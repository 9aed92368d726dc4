"""Static pods of a worker: there, or not quite."""

from collections.abc import Sequence

from cka_kubelet.faults import Context, DeleteObject, Parameter, Step, WriteFile

_MANIFEST = """\
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  labels:
    app: {name}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: agent
    image: docker.io/library/busybox:1.36
    command: ["sh", "-c", "trap exit TERM; while :; do sleep 1 & wait; done"]
"""
_MISTAKES = {
    "tab": ("  - name: agent", "\t- name: agent"),
    "indentation": ("    image:", "   image:"),
    "colon": ("  name: {name}\n", "  name {name}\n"),
    "kind": ("kind: Pod", "kind: pod"),
    "version": ("apiVersion: v1", "apiVersion: V1"),
}


class StaticPod:
    """Put a static pod's manifest where the kubelet looks for it; `mistake` says what is wrong with it."""

    name = "static-pod"
    parameters = (
        Parameter("name", "agent", "the pod's name, without its node's"),
        Parameter("mistake", "any", "what is wrong with it", ("none", "any", *_MISTAKES)),
    )

    def steps(self, context: Context) -> Sequence[Step]:
        name = str(context.parameters["name"])
        mistake = str(context.parameters["mistake"])
        if mistake == "any":
            mistake = context.random.choice(tuple(_MISTAKES))
        old, new = _MISTAKES.get(mistake, ("", ""))
        text = (_MANIFEST.replace(old, new) if old else _MANIFEST).format(name=name)
        mirror = f"/api/v1/namespaces/default/pods/{name}-{context.node}"
        return (
            DeleteObject(mirror),
            WriteFile(f"/etc/kubernetes/manifests/{name}.yaml", text.encode()),
        )

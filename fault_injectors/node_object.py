"""The Node object keeps pods away, though all is well on the node."""

from collections.abc import Sequence

from cka_kubelet.faults import Context, Object, Parameter, PatchObject, Step

_KEYS = ("dedicated", "maintenance", "team", "hardware-check", "example.com/upgrade")
_VALUES = ("batch", "pending", "storage", "true", "blue")


def _node(context: Context) -> tuple[str, Object]:
    path = f"/api/v1/nodes/{context.node}"
    node = context.object(path)
    if node is None:
        raise ValueError(f"the API server knows no node {context.node}")
    return path, node


class NodeTainted:
    """Leave a taint on the node that nothing tolerates."""

    name = "node-tainted"
    parameters = (
        Parameter("key", "", "the taint's key; empty chooses key and value"),
        Parameter("effect", "NoSchedule", "what it does", ("NoSchedule", "NoExecute")),
    )

    def steps(self, context: Context) -> Sequence[Step]:
        path, node = _node(context)
        taints = list(node.get("spec", {}).get("taints") or [])
        key = str(context.parameters["key"] or context.random.choice(_KEYS))
        taint = {"key": key, "value": context.random.choice(_VALUES), "effect": str(context.parameters["effect"])}
        return (PatchObject(path, {"spec": {"taints": [*taints, taint]}}),)


class NodeCordoned:
    """What `kubectl cordon` does, and nobody undid."""

    name = "node-cordoned"
    parameters: Sequence[Parameter] = ()

    def steps(self, context: Context) -> Sequence[Step]:
        path, _ = _node(context)
        return (PatchObject(path, {"spec": {"unschedulable": True}}),)

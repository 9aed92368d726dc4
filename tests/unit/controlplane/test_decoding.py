"""Values that their fields cannot hold, in Go's words."""

from typing import Any

import pytest

from cka_kubelet.controlplane import decoding
from cka_kubelet.controlplane.kinds import KINDS

_BY_KIND = {each.kind: each for each in reversed(KINDS)}


def _pod(container: Any = None, **spec: Any) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container or {"name": "c"}], **spec}}


def _meta(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", **fields}}


_INTO = "json: cannot unmarshal {} into Go struct field {} of type {}"


@pytest.mark.parametrize(
    ("kind", "body", "value", "field", "go_type"),
    [
        ("Pod", _pod({"env": [{"value": True}]}), "bool", "EnvVar.spec.containers.env.value", "string"),
        ("Pod", _pod({"env": [{"value": 5}]}), "number", "EnvVar.spec.containers.env.value", "string"),
        ("Pod", _pod({"env": {"A": "b"}}), "object", "Container.spec.containers.env", "[]v1.EnvVar"),
        ("Pod", _pod({"args": ["a", 1]}), "number", "Container.spec.containers.args", "string"),
        ("Pod", _pod({"imagePullPolicy": True}), "bool", "Container.spec.containers.imagePullPolicy", "v1.PullPolicy"),
        ("Pod", _pod({"ports": [{"containerPort": "80"}]}), "string",
         "ContainerPort.spec.containers.ports.containerPort", "int32"),
        ("Pod", _pod({"ports": [{"containerPort": 1.5}]}), "number 1.5",
         "ContainerPort.spec.containers.ports.containerPort", "int32"),
        ("Pod", _pod(terminationGracePeriodSeconds="9"), "string", "PodSpec.spec.terminationGracePeriodSeconds",
         "int64"),
        ("Pod", _pod(hostNetwork="true"), "string", "PodSpec.spec.hostNetwork", "bool"),
        ("Pod", _pod(nodeSelector={"disk": True}), "bool", "PodSpec.spec.nodeSelector", "string"),
        ("Pod", _pod(volumes=[{"emptyDir": []}]), "array", "Volume.spec.volumes.emptyDir", "v1.EmptyDirVolumeSource"),
        ("Pod", {"spec": "x"}, "string", "Pod.spec", "v1.PodSpec"),
        ("ConfigMap", {"data": {"a": 1}}, "number", "ConfigMap.data", "string"),
        ("ConfigMap", _meta(labels=["a"]), "array", "ObjectMeta.metadata.labels", "map[string]string"),
        ("Deployment", {"spec": {"replicas": "3"}}, "string", "DeploymentSpec.spec.replicas", "int32"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type(kind: str, body: dict[str, Any], value: str, field: str, go_type: str) -> None:
    with pytest.raises(decoding.TypeMismatchError) as caught:
        decoding.check(_BY_KIND[kind], body)
    assert str(caught.value) == _INTO.format(value, field, go_type)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_pod({"resources": {"limits": {"cpu": True}}}), "quantities must match the regular expression"),
        (_pod({"livenessProbe": {"httpGet": {"port": True}}}),
         "json: cannot unmarshal bool into Go value of type int32"),
        (_meta(creationTimestamp=5), "json: cannot unmarshal number into Go value of type string"),
    ],
)  # fmt: skip
def test_types_with_decoders_of_their_own(body: dict[str, Any], message: str) -> None:
    with pytest.raises(decoding.TypeMismatchError, match=message):
        decoding.check(_BY_KIND["Pod"], body)


@pytest.mark.parametrize(("text", "at"), [("plain text", 5), ("abcde", 4), ("ab=", 2)])
def test_secrets_hold_base64(text: str, at: int) -> None:
    with pytest.raises(decoding.TypeMismatchError, match=f"^illegal base64 data at input byte {at}$"):
        decoding.check(_BY_KIND["Secret"], {"data": {"a": text}})


def test_what_fits() -> None:
    container = {"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "livenessProbe": {"httpGet": {"port": "web"}}}
    decoding.check(_BY_KIND["Pod"], {**_pod({**container, "env": None, "new": True}), "status": None})
    decoding.check(_BY_KIND["Secret"], {"data": {"a": "aGk="}, "type": "Opaque"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_pod({"env": [{"value": True}]}), "unrecognized type: string"),
        (_pod({"env": [{"value": 5}]}), "cannot convert int64 to string"),
        (_pod({"env": "x"}), "cannot restore slice from string"),
        (_pod(nodeSelector=[]), "cannot restore map from slice"),
        (_pod(securityContext=1), "cannot restore struct from: int64"),
        (_pod(terminationGracePeriodSeconds="9"), "unrecognized type: int64"),
    ],
)
def test_what_a_strategic_merge_patch_made(body: dict[str, Any], message: str) -> None:
    with pytest.raises(decoding.TypeMismatchError) as caught:
        decoding.check_converted(_BY_KIND["Pod"], body)
    assert str(caught.value) == message

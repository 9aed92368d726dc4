"""What the faults of static pods make of kubeadm's manifests."""

from random import Random

import pytest

from cka_kubelet.faults import Context, ReplaceText, Value
from cka_kubelet.faults.api import Fault, settle
from cka_kubelet.kube import staticpods
from fault_injectors.control_plane_pods import StaticPodFlag, StaticPodImage, StaticPodProgram

CLUSTER = staticpods.Cluster("controlplane", "10.99.1.2")


def broken(fault: Fault, **given: Value) -> list[str]:
    """The lines of the manifest that are new, and those that are gone, with their signs."""
    parameters = settle(fault, given)
    before = staticpods.manifest(parameters["component"], CLUSTER)  # type: ignore[arg-type]  # one of its choices
    context = Context(
        "controlplane", "controlplane", parameters, lambda _n, _p: before.encode(), lambda _n, _p: "",
        lambda _n, _p: (), random=Random(1),  # noqa: S311 - variety, not secrecy
    )  # fmt: skip
    [step] = fault.steps(context)
    assert isinstance(step, ReplaceText)
    assert before.count(step.old) == 1
    old, new = before.splitlines(), before.replace(step.old, step.new).splitlines()
    return [f"+{line.strip()}" for line in new if line not in old] + [
        f"-{line.strip()}" for line in old if line not in new
    ]


def test_a_flag_gets_another_value() -> None:
    wrong = "https://127.0.0.1:2397"
    assert broken(StaticPodFlag(), flag="etcd-servers", value=wrong) == [
        f"+- --etcd-servers={wrong}",
        "-- --etcd-servers=https://127.0.0.1:2379",
    ]


@pytest.mark.parametrize("flag", ["kubelet-https", "aaa", "zzz"])
def test_a_flag_is_added_in_its_place(flag: str) -> None:
    assert broken(StaticPodFlag(), flag=flag) == [f"+- --{flag}=true"]


def test_a_flag_is_taken_out() -> None:
    assert broken(StaticPodFlag(), component="kube-scheduler", flag="kubeconfig", value="") == [
        "-- --kubeconfig=/etc/kubernetes/scheduler.conf"
    ]


def test_a_flag_that_is_not_there_cannot_be_taken_out() -> None:
    with pytest.raises(ValueError, match="--magic"):
        broken(StaticPodFlag(), flag="magic", value="")


def test_an_image_gets_a_tag_that_never_was() -> None:
    right = staticpods.IMAGES["kube-scheduler"]
    added, gone = broken(StaticPodImage(), component="kube-scheduler")
    assert gone == f"-image: {right}"
    assert added.startswith(f"+image: {right}")
    assert len(added) == len(gone) + 1


def test_a_program_is_misspelt() -> None:
    added, gone = broken(StaticPodProgram(), component="kube-controller-manager")
    assert gone == "-- kube-controller-manager"
    assert added != gone.replace("-", "+", 1)
    assert len(added) == len(gone) + 1

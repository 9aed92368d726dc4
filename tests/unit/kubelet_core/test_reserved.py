import pytest

from cka_kubelet.kube.quantity import Quantity
from cka_kubelet.kubelet import nodestatus, reserved
from cka_kubelet.kubelet.configuration import KubeletConfiguration

_CAPACITY = nodestatus.capacity(2, 24683656 * 1024, 100 << 30, {"hugepages-2Mi": 0}, 110, 0)


def _hard(**values: str) -> list[reserved.Threshold]:
    return reserved.hard_thresholds(KubeletConfiguration(evictionHard=values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"memory.available": "lots"}, "quantities must match the regular expression "
         "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        ({"memory.free": "1Mi"}, "unsupported eviction signal memory.free"),
        ({"memory.available": "-5Mi"}, "eviction threshold memory.available must be positive: -5Mi"),
        ({"nodefs.available": "120%"}, "eviction percentage threshold nodefs.available must be <= 100%: 120%"),
    ],
)  # fmt: skip
def test_bad_eviction_settings(values: dict[str, str], message: str) -> None:
    with pytest.raises(reserved.SettingError) as caught:
        _hard(**values)
    assert str(caught.value) == message


def test_a_soft_threshold_needs_its_grace_period() -> None:
    config = KubeletConfiguration(evictionSoft={"memory.available": "1Gi"})
    with pytest.raises(
        reserved.SettingError, match="grace period must be specified for the soft eviction threshold memory"
    ):
        reserved.soft_thresholds(config)


def test_an_unparsable_reservation() -> None:
    with pytest.raises(
        reserved.SettingError, match=r"^--kube-reserved value failed to parse: failed to parse quantity"
    ):
        reserved.parse_reserved({"cpu": "lots"}, "kube-reserved")


def test_allocatable_is_capacity_less_reservation_and_hard_eviction() -> None:
    held = reserved.reservation({"cpu": Quantity(5 * 10**8)}, {}, _hard(**{"memory.available": "100Mi"}), _CAPACITY)
    left = reserved.allocatable(_CAPACITY, held)
    assert (str(left["cpu"]), str(left["memory"]), str(left["pods"])) == ("1500m", "24581256Ki", "110")


def test_allocatable_storage_is_in_plain_bytes() -> None:
    held = reserved.reservation({}, {}, _hard(**{"nodefs.available": "10%"}), _CAPACITY)
    assert str(reserved.allocatable(_CAPACITY, held)["ephemeral-storage"]) == "96636764000"


def test_a_reservation_above_capacity_is_refused_in_gos_words() -> None:
    text = reserved.allocatable_error(_CAPACITY, {"cpu": Quantity.of(64)})
    assert text == (
        'invalid Node Allocatable configuration. Resource "cpu" has a reservation of {{64 0} {<nil>}  DecimalSI} but '
        "capacity of {{2000 -3} {<nil>}  DecimalSI}. Expected capacity >= reservation."
    )


def test_a_tenth_of_the_storage_is_a_float32s_tenth() -> None:
    (threshold,) = _hard(**{"nodefs.available": "10%"})
    storage = 61255492 * 1024
    assert storage - threshold.value(storage) == 56453061334  # what such nodes report as allocatable

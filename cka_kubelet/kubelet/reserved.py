"""Reserved resources and eviction settings: parsing with upstream's errors, and what they leave for pods."""

import struct
from typing import NamedTuple

from cka_kubelet.kube import quantity
from cka_kubelet.kube.gofmt import parse_duration, quote
from cka_kubelet.kube.quantity import Quantity
from cka_kubelet.kubelet.configuration import KubeletConfiguration

SIGNALS = {
    "memory.available": "memory",
    "nodefs.available": "ephemeral-storage",
    "nodefs.inodesFree": "inodes",
    "imagefs.available": "ephemeral-storage",
    "imagefs.inodesFree": "inodes",
    "containerfs.available": "ephemeral-storage",
    "containerfs.inodesFree": "inodes",
    "allocatableMemory.available": "memory",
    "pid.available": "pids",
}
_RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")


class SettingError(ValueError):
    """A setting is wrong. str() is upstream's message."""


class Threshold(NamedTuple):
    """One eviction threshold. Either `quantity` or `percentage` (0–1) is set; `grace` in seconds, 0 for hard ones."""

    signal: str
    quantity: Quantity | None
    percentage: float
    grace: float
    minimum_reclaim: str

    def value(self, capacity: int) -> int:
        """The limit in units of the signal (bytes, inodes, pids)."""
        return self.quantity.value() if self.quantity is not None else int(capacity * self.percentage)


def parse_reserved(values: dict[str, str] | None, flag: str) -> dict[str, Quantity]:
    """`kubeReserved` or `systemReserved`. Raises SettingError; `flag` names it there."""
    result = {}
    for name, text in (values or {}).items():
        if name not in _RESERVABLE:
            raise SettingError(f"--{flag} value failed to parse: cannot reserve {quote(name)} resource")
        try:
            amount = quantity.parse(str(text))
        except quantity.QuantityError as error:
            raise SettingError(
                f"--{flag} value failed to parse: failed to parse quantity {quote(str(text))} for {quote(name)} "
                f"resource: {error}"
            ) from error
        if amount.nanos < 0:
            raise SettingError(
                f"--{flag} value failed to parse: resource quantity for {quote(name)} cannot be negative: {text}"
            )
        result[name] = amount
    return result


def _single(value: float) -> float:
    """The nearest single-precision number: upstream keeps percentages so, and 10 % is a little more than a tenth."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _threshold(signal: str, text: str, grace: float, reclaim: str) -> Threshold | None:
    if signal not in SIGNALS:
        raise SettingError(f"unsupported eviction signal {signal}")
    if text in ("0%", "100%"):
        return None
    if text.endswith("%"):
        try:
            percentage = _single(_single(float(text[:-1])) / 100)
        except ValueError as error:
            raise SettingError(f"strconv.ParseFloat: parsing {quote(text[:-1])}: invalid syntax") from error
        if percentage < 0:
            raise SettingError(f"eviction percentage threshold {signal} must be >= 0%: {text}")
        if percentage > 1:
            raise SettingError(f"eviction percentage threshold {signal} must be <= 100%: {text}")
        return Threshold(signal, None, percentage, grace, reclaim)
    try:
        amount = quantity.parse(text)
    except quantity.QuantityError as error:
        raise SettingError(str(error)) from error
    if amount.nanos <= 0:
        raise SettingError(f"eviction threshold {signal} must be positive: {amount}")
    return Threshold(signal, amount, 0.0, grace, reclaim)


def hard_thresholds(config: KubeletConfiguration) -> list[Threshold]:
    """From evictionHard. Raises SettingError."""
    reclaim = config.get("evictionMinimumReclaim") or {}
    values = config.get("evictionHard") or {}
    made = (_threshold(signal, str(values[signal]), 0.0, str(reclaim.get(signal, ""))) for signal in sorted(values))
    return [threshold for threshold in made if threshold is not None]


def soft_thresholds(config: KubeletConfiguration) -> list[Threshold]:
    """From evictionSoft and its grace periods. Raises SettingError."""
    graces = {}
    for signal, text in sorted((config.get("evictionSoftGracePeriod") or {}).items()):
        if signal not in SIGNALS:
            raise SettingError(f"unsupported eviction signal {signal}")
        try:
            graces[signal] = parse_duration(str(text))
        except ValueError as error:
            raise SettingError(str(error)) from error
        if graces[signal] < 0:
            raise SettingError(f"invalid eviction grace period specified: {signal}, must be a positive value")
    result = []
    for signal, text in sorted((config.get("evictionSoft") or {}).items()):
        threshold = _threshold(signal, str(text), graces.get(signal, 0.0), "")
        if threshold is None:
            continue
        if signal not in graces:
            raise SettingError(f"grace period must be specified for the soft eviction threshold {signal}")
        result.append(threshold)
    return result


def reservation(
    kube: dict[str, Quantity], system: dict[str, Quantity], hard: list[Threshold], capacity: dict[str, Quantity]
) -> dict[str, Quantity]:
    """What pods may not use, by resource: both reservations and the hard eviction thresholds."""
    total: dict[str, Quantity] = {}
    for source in (kube, system):
        for name, amount in source.items():
            total[name] = total[name] + amount if name in total else amount
    for signal, name in (("memory.available", "memory"), ("nodefs.available", "ephemeral-storage")):
        limit = next((threshold for threshold in hard if threshold.signal == signal), None)
        if limit is not None and name in capacity:
            amount = Quantity.of(limit.value(capacity[name].value()), "BinarySI")
            total[name] = total[name] + amount if name in total else amount
    return total


def allocatable(capacity: dict[str, Quantity], reserved: dict[str, Quantity]) -> dict[str, Quantity]:
    """Capacity less reservation, never below zero."""
    result = {}
    for name, amount in capacity.items():
        left = amount - reserved[name] if name in reserved else amount
        left = left if left.nanos > 0 else Quantity(0, amount.format)
        result[name] = left
    for name, amount in capacity.items():
        if name.startswith("hugepages-") and amount.nanos:
            memory = result["memory"] - amount
            result["memory"] = memory if memory.nanos > 0 else Quantity(0, "BinarySI")
    return result


def _go_quantity(amount: Quantity, *, milli: bool = False) -> str:
    """How Go's %v shows the structure; `milli`: one that was made of thousandths, as CPU capacity is."""
    if milli:
        return f"{{{{{amount.milli_value()} -3}} {{<nil>}}  {amount.format}}}"
    value, scale = amount.nanos, -9
    while value and value % 1000 == 0 and scale < 0:
        value //= 1000
        scale += 3
    return f"{{{{{value} {scale}}} {{<nil>}}  {amount.format}}}"


def allocatable_error(capacity: dict[str, Quantity], reserved: dict[str, Quantity]) -> str | None:
    """Upstream's validateNodeAllocatable: None when every reservation fits."""
    errors = [
        f"Resource {quote(name)} has a reservation of {_go_quantity(amount)} but capacity of "
        f"{_go_quantity(capacity[name], milli=name == 'cpu')}. Expected capacity >= reservation."
        for name, amount in reserved.items()
        if name in capacity and capacity[name] < amount
    ]
    return f"invalid Node Allocatable configuration. {' '.join(errors)}" if errors else None

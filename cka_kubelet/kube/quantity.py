"""resource.Quantity: `100Mi`, `250m`, `1e3`. Exact to 1n; finer values are rounded up, as upstream does."""

import re

QUANTITY_ERROR = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_SHAPE = re.compile(r"^([+-]?)(\d*)(?:\.(\d*))?(.*)$")
_NANO = 10**9
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_EXPONENT = re.compile(r"^[eE][+-]?\d+$")


class QuantityError(ValueError):
    """Not a quantity. str() is upstream's message."""

    def __init__(self) -> None:
        super().__init__(QUANTITY_ERROR)


class Quantity:
    """An amount and how it is written: DecimalSI, BinarySI or DecimalExponent. `nanos` is the exact value × 10⁹."""

    __slots__ = ("format", "nanos")

    def __init__(self, nanos: int, format_: str = "DecimalSI") -> None:
        self.nanos = nanos
        self.format = format_

    @classmethod
    def of(cls, value: int, format_: str = "DecimalSI") -> "Quantity":
        """A whole number of units."""
        return cls(value * _NANO, format_)

    def value(self) -> int:
        """Whole units, rounded up."""
        return -(-self.nanos // _NANO)

    def milli_value(self) -> int:
        """Thousandths, rounded up."""
        return -(-self.nanos // 10**6)

    def as_float(self) -> float:
        """The value, as near as a float gets."""
        return self.nanos / _NANO

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nanos == other.nanos

    def __lt__(self, other: "Quantity") -> bool:
        return self.nanos < other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __add__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.nanos + other.nanos, self.format if self.nanos else other.format)

    def __sub__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.nanos - other.nanos, self.format if self.nanos else other.format)

    def __repr__(self) -> str:
        return f"Quantity({self})"

    def __str__(self) -> str:
        if self.nanos == 0:
            return "0"
        sign = "-" if self.nanos < 0 else ""
        size = abs(self.nanos)
        if self.format == "BinarySI" and size >= 1024 * _NANO and size % _NANO == 0:
            return sign + _binary(size // _NANO)
        return sign + _decimal(size, exponent=self.format == "DecimalExponent")


def _binary(value: int) -> str:
    steps = 0
    while value % 1024 == 0 and steps < len(_BINARY):
        value //= 1024
        steps += 1
    return f"{value}{['', *_BINARY][steps]}"


def _decimal(nanos: int, *, exponent: bool) -> str:
    power = -9
    while nanos % 1000 == 0 and power < 18:
        nanos //= 1000
        power += 3
    if exponent:
        return f"{nanos}e{power}" if power else str(nanos)
    suffix = next(name for name, value in _DECIMAL.items() if value == power)
    return f"{nanos}{suffix}"


def _scaled(digits: int, places: int, shift: int, power_of_two: int) -> int:
    """digits × 10^(shift-places) × 2^power_of_two in nanos, rounded away from zero."""
    numerator: int = (digits << power_of_two) * _NANO * int(10 ** max(shift, 0))
    denominator = int(10 ** (places + max(-shift, 0)))
    return -(-numerator // denominator)


def parse(text: str) -> Quantity:
    """The quantity written in `text`. Raises QuantityError."""
    match = _SHAPE.match(text)
    if match is None or not (match[2] or match[3]):
        raise QuantityError
    sign, whole, fraction, suffix = match[1], match[2], match[3] or "", match[4]
    digits = int((whole + fraction) or "0")
    if suffix in _BINARY:
        nanos, format_ = _scaled(digits, len(fraction), 0, _BINARY[suffix]), "BinarySI"
    elif suffix in _DECIMAL:
        nanos, format_ = _scaled(digits, len(fraction), _DECIMAL[suffix], 0), "DecimalSI"
    elif _EXPONENT.match(suffix) and abs(int(suffix[1:])) < 100:
        nanos, format_ = _scaled(digits, len(fraction), int(suffix[1:]), 0), "DecimalExponent"
    else:
        raise QuantityError
    return Quantity(-nanos if sign == "-" else nanos, format_)


def parse_any(value: object) -> Quantity:
    """Like parse(), for what JSON may hold: a string or a bare number."""
    return parse(str(value))

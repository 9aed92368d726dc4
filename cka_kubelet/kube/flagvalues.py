"""Parsing of flag values, with the error texts of pflag, strconv and Kubernetes' own flag types."""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from cka_kubelet.kube import quantity
from cka_kubelet.kube.gofmt import parse_duration, quote

_TRUE, _FALSE = {"1", "t", "T", "true", "TRUE", "True"}, {"0", "f", "F", "false", "FALSE", "False"}
_INT = re.compile(r"^[+-]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]*|[1-9][0-9_]*)$")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def parse_bool(text: str) -> bool:
    """strconv.ParseBool."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def parse_int(text: str, bits: int = 32) -> int:
    """strconv.ParseInt with base 0."""
    if not _INT.match(text):
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    digits = text.lstrip("+-").replace("_", "")
    octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    value = int(digits, 8) if octal else int(digits, 0)
    value = -value if text.startswith("-") else value
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return value


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError as error:
        raise ValueError(f"failed to parse IP: {quote(text.strip())}") from error


def _pairs(text: str) -> dict[str, str]:
    result = {}
    for part in (part for part in text.split(",") if part):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError("malformed pair, expect string=string")
        result[key.strip()] = value.strip()
    return result


def _bool_pairs(text: str) -> dict[str, bool]:
    result = {}
    for part in (part for part in text.split(",") if part):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError("malformed pair, expect string=bool")
        try:
            result[key.strip()] = parse_bool(value.strip())
        except ValueError as error:
            raise ValueError(f"invalid value of {key.strip()}: {value.strip()}, err: {error}") from error
    return result


def _configuration_map(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _thresholds(text: str) -> dict[str, str]:
    result = {}
    for part in (part for part in text.split(",") if part):
        key, less, value = part.partition("<")
        if not less:
            raise ValueError(f"invalid eviction signal {part}")
        result[key.strip()] = value.strip()
    return result


def _taints(text: str) -> list[dict[str, str]]:
    result = []
    for part in (part for part in text.split(",") if part):
        key_value, colon, effect = part.rpartition(":")
        key, _, value = key_value.partition("=")
        if not colon or not key:
            raise ValueError(f"invalid taint spec: {part}")
        if effect not in _EFFECTS:
            raise ValueError(f"invalid taint effect: {effect}, unsupported taint effect")
        result.append({"key": key, "effect": effect} | ({"value": value} if value else {}))
    return result


def _header(text: str) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for part in (part for part in text.split(",") if part):
        key, colon, value = part.partition(":")
        if not colon:
            raise ValueError("malformed pair, expect string:string")
        result.setdefault(key.strip(), []).append(value.strip())
    return result


def _level(text: str) -> int:
    """strconv.ParseUint with base 10 and 31 bits."""
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: invalid syntax")
    if int(text) >= 1 << 31:
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: value out of range")
    return int(text)


def _modules(text: str) -> list[dict[str, Any]]:
    """`pattern=N,…` as logging.vmodule has it."""
    result = []
    for part in (part for part in text.split(",") if part):
        words = part.split("=")
        if len(words) != 2 or not all(words):
            raise ValueError(f"{quote(part)} does not have the pattern=N format")
        try:
            result.append({"filePattern": words[0], "verbosity": _level(words[1])})
        except ValueError as error:
            raise ValueError(f"parsing verbosity in {quote(part)}: {error}") from error
    return result


def _float(text: str) -> float:
    """strconv.ParseFloat, of what people write."""
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax") from error


def _uint(text: str) -> int:
    if not _INT.match(text) or text[0] in "+-":
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: invalid syntax")
    return parse_int(text, 64)


def _equal_pairs(text: str) -> dict[str, str]:
    """pflag's StringToString."""
    result = {}
    for part in (part for part in text.split(",") if part):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part} must be formatted as key=value")
        result[key] = value
    return result


def _integers(text: str) -> list[int]:
    found = []
    for part in text.split(","):
        try:
            found.append(int(part))
        except ValueError as error:
            raise ValueError(f"strconv.ParseInt: parsing {quote(part)}: invalid syntax") from error
    return found


def _named_pair(text: str) -> list[str]:
    """`certificate,key[:names]`."""
    if len(text.partition(":")[0].split(",")) != 2:
        raise ValueError("expected comma separated certificate and key file paths")
    return [text]


def _port_range(text: str) -> str:
    """apimachinery's net.PortRange: `base-max`, `base+offset` or one port."""
    sign = next((char for char in "-+" if char in text), "")
    words = text.strip().split(sign) if sign else [text.strip()]
    if len(words) != 2 and sign:
        raise ValueError(f"unable to parse port range: {text}")
    low, high = parse_int(words[0], 64), parse_int(words[-1], 64)
    high = low + high if sign == "+" else high
    if high < low:
        raise ValueError(f"end port cannot be less than start port: {text}")
    if high > 65535:
        raise ValueError(f"the port range cannot be greater than 65535: {text}")
    return f"{low}-{high}"


def _version(text: str) -> str:
    if text in ("true", "raw"):
        return text
    return "true" if parse_bool(text) else "false"


PARSERS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "bool": parse_bool,
    "int32": parse_int,
    "int64": lambda text: parse_int(text, 64),
    "duration": _duration,
    "ip": _ip,
    "slice": lambda text: text.split(",") if text else [],
    "map": _pairs,
    "boolmap": _bool_pairs,
    "configmap": _configuration_map,
    "thresholds": _thresholds,
    "taints": _taints,
    "header": _header,
    "quantity": lambda text: str(quantity.parse(text)),
    "level": _level,
    "version": _version,
    "vmodule": _modules,
    "float": _float,
    "uint": _uint,
    "pairs": _equal_pairs,
    "int32slice": _integers,
    "array": lambda text: [text],
    "gates": lambda text: [part.strip() for part in text.split(",") if part],
    "certkey": _named_pair,
    "portrange": _port_range,
}
"""By kind, text → the value as the configuration's wire form has it. Raise ValueError with Go's message."""

OPTIONAL_VALUE = {"bool": "true", "version": "true"}
"""Kinds that may stand without a value, and what they then mean."""

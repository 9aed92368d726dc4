"""How kubectl writes ages (`k8s.io/apimachinery/pkg/util/duration`)."""

import calendar
import time


def seconds_since(stamp: str, now: float) -> int:
    """Whole seconds from an RFC 3339 time to `now`."""
    then = calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S"))
    return int(now - then)


def short_human_duration(seconds: int) -> str:
    """HumanDuration: at most two units, the coarser the longer it is."""
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        text = f"{seconds}s"
    elif minutes < 10:
        text = _two(minutes, "m", seconds % 60, "s")
    elif minutes < 180:
        text = f"{minutes}m"
    elif hours < 8:
        text = _two(hours, "h", minutes % 60, "m")
    elif hours < 48:
        text = f"{hours}h"
    elif hours < 192:
        text = _two(days, "d", hours % 24, "h")
    elif days < 730:
        text = f"{days}d"
    elif days < 2920:
        text = _two(days // 365, "y", days % 365, "d")
    else:
        text = f"{days // 365}y"
    return text


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"

"""What may differ from one run to the next, made equal: addresses, ids, times, ephemeral ports, pids, hashes."""

import re
from collections.abc import Sequence

_MASKS: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uid>"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d+(?:Z| \+0000 UTC)?(?: m=\+[\d.]+)?", "<time>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
        (r"\b(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?s ago\b", "<time> ago"),
        (r"\b(?!127\.|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}\b(?!/)", "<ip>"),
        (r"<ip>:[3-6]\d{4}\b", "<addr>"),
        (r"\b(?=\d*[a-f])[0-9a-f]{12,64}\b", "<id>"),
        (r"\[Channel #\d+ SubChannel #\d+\]", "[Channel]"),
        (r"\bpid[:=] ?\d+", "pid=<pid>"),
    )
)


def mask(text: str) -> str:
    """`text` without what differs between runs. Masking a masked text changes nothing."""
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text

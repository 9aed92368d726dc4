"""What differs between two runs is masked; what does not, stays."""

import pytest

from tests.fidelity.masking import mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('podUID="0f4d7a1e-7c1c-4b9e-8a53-3a6ad61f3c9e"', 'podUID="<uid>"'),
        ("dial tcp 10.99.1.2:6443: connect", "dial tcp <ip>:6443: connect"),
        ("read udp 10.4.0.2:51234->10.4.0.1:53: i/o timeout", "read udp <addr>-><ip>:53: i/o timeout"),
        ("listen tcp 0.0.0.0:10250: bind", "listen tcp 0.0.0.0:10250: bind"),
        ("FirstTimestamp:2026-11-21 02:55:01.1234 +0000 UTC m=+0.31,", "FirstTimestamp:<time>,"),
        ("is expired: 2025-02-01 00:00:00 +0000 UTC", "is expired: 2025-02-01 00:00:00 +0000 UTC"),
        ("pleg was last seen 3m13.144s ago; threshold is 3m0s", "pleg was last seen <time> ago; threshold is 3m0s"),
        ("node01.18e9efe982bc3aec", "node01.<id>"),
        ("requested: 966367641600", "requested: 966367641600"),
        ("[core] [Channel #1 SubChannel #2] grpc", "[core] [Channel] grpc"),
        ("victim process: sleep, pid: 8418", "victim process: sleep, pid=<pid>"),
    ],
)  # fmt: skip
def test_masks_only_what_differs(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked

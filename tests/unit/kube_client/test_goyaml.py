import pytest

from cka_kubelet.kube import goyaml

_KEYS = b"".join(b"k%d: 1\n" % number for number in range(49))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_KEYS + b"clusterDNS:\n\t- 10.96.0.10\n", "yaml: line 51: found character that cannot start any token"),
        (b"".join(b"k%d: 1\n" % n for n in range(18)) + b"}}\n", "yaml: line 18: did not find expected key"),
        (b"a: b: c\n", "yaml: mapping values are not allowed in this context"),
        (b"a: 1\n\xff\n", "yaml: invalid leading UTF-8 octet"),
    ],
)
def test_errors_are_go_yamls(text: bytes, message: str) -> None:
    with pytest.raises(goyaml.YAMLError) as caught:
        goyaml.load(text)
    assert str(caught.value) == message


def test_a_repeated_key_is_told_and_the_last_wins() -> None:
    assert goyaml.load(b"a: 1\nb:\n  c: 1\n  c: 2\na: 3\n") == (
        {"a": 3, "b": {"c": 2}},
        ['  line 4: key "c" already set in map', '  line 5: key "a" already set in map'],
    )


def test_only_json_values_come_out() -> None:
    document, _ = goyaml.load(b"a: yes\nb: 010\nc: 2020-01-01\nd: 1:30\ne: 1.5\nf: ~\n1: x\ntrue: y\n")
    assert document == {"a": True, "b": 8, "c": "2020-01-01", "d": "1:30", "e": 1.5, "f": None, "1": "x", "true": "y"}


def test_an_empty_file_is_none() -> None:
    assert goyaml.load(b"") == (None, [])

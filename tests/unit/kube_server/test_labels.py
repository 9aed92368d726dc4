"""Selectors, as URLs and as objects."""

import pytest

from cka_kubelet.kube import labels

_HAVE = {"app": "web", "tier": "front", "n": "5"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier!=back", True),
        ("app in (db, web)", True),
        ("app notin (db,web)", False),
        ("app", True),
        ("!app", False),
        ("nosuch!=x", True),
        ("n>4", True),
        ("n<4", False),
    ],
)
def test_label_selectors(text: str, expected: bool) -> None:
    assert labels.matches(labels.parse(text), _HAVE) is expected


def test_a_missing_selector_object_matches_nothing_and_an_empty_one_everything() -> None:
    assert labels.from_object(None) is None
    empty = labels.from_object({})
    assert empty is not None
    assert labels.matches(empty, {})


@pytest.mark.parametrize("text", ["=x", "a=b c", "!"])
def test_nonsense(text: str) -> None:
    with pytest.raises(labels.SelectorError):
        labels.parse(text)


def test_field_selectors() -> None:
    fields = {"spec.nodeName": "n1", "status.phase": "Running"}
    selector = labels.parse_fields("spec.nodeName=n1,status.phase!=Failed")
    assert labels.matches_fields(selector, lambda path: fields.get(path, ""))
    with pytest.raises(labels.SelectorError):
        labels.parse_fields("nonsense")

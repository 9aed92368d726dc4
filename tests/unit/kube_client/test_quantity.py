import pytest

from cka_kubelet.kube.quantity import QUANTITY_ERROR, Quantity, QuantityError, parse


@pytest.mark.parametrize(
    ("text", "canonical", "value"),
    [("100Mi", "100Mi", 104857600), ("1024Mi", "1Gi", 1 << 30), ("250m", "250m", 1), ("0.5", "500m", 1),
     ("1e3", "1e3", 1000),
     ("2", "2", 2), ("1500m", "1500m", 2), ("0", "0", 0), ("-5Mi", "-5Mi", -5242880), ("1000k", "1M", 10**6),
     ("512", "512", 512), ("1.5Gi", "1536Mi", 1610612736)],
)  # fmt: skip
def test_parse_and_print(text: str, canonical: str, value: int) -> None:
    quantity = parse(text)
    assert (str(quantity), quantity.value()) == (canonical, value)


@pytest.mark.parametrize("text", ["lots", "", "1.2.3", "5MiB", "Mi", "1e", "--1"])
def test_junk_is_refused_in_upstreams_words(text: str) -> None:
    with pytest.raises(QuantityError) as caught:
        parse(text)
    assert str(caught.value) == QUANTITY_ERROR


def test_arithmetic_keeps_the_format() -> None:
    assert str(Quantity.of(24683656 * 1024, "BinarySI") - parse("100Mi")) == "24581256Ki"
    assert parse("1") < parse("1001m")

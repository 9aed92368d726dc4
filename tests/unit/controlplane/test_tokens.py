"""Signing service account tokens."""

import subprocess
from pathlib import Path

import pytest

from cka_kubelet.controlplane.tokens import TokenError, TokenSigner


@pytest.mark.parametrize("form", [["genrsa", "-traditional"], ["genrsa"]])
def test_what_is_signed_by_the_primes_verifies(tmp_path: Path, form: list[str]) -> None:
    key = tmp_path / "sa.key"
    subprocess.run(["openssl", *form, "-out", str(key), "1024"], check=True, capture_output=True)
    signer = TokenSigner(str(key))
    token = signer.issue({"exp": 2000, "sub": "a"})
    assert signer.verify(token, 1000)["sub"] == "a"
    plain = TokenSigner(str(key))
    plain._primes = []
    assert [plain._sign(m) for m in (5, 1 << 900)] == [signer._sign(m) for m in (5, 1 << 900)]
    with pytest.raises(TokenError):
        signer.verify(token[:-8] + "AAAAAAAA", 1000)

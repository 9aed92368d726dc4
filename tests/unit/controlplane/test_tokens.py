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


@pytest.mark.parametrize("form", [["-pubout"], ["-RSAPublicKey_out"]])
def test_only_signatures_of_the_trusted_keys_count(tmp_path: Path, form: list[str]) -> None:
    public = []
    for name in ("own", "other"):
        key = tmp_path / f"{name}.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "1024"], check=True, capture_output=True)
        pub = ["openssl", "rsa", "-in", str(key), *form, "-out", f"{tmp_path}/{name}.pub"]
        subprocess.run(pub, check=True, capture_output=True)
        public.append(f"{tmp_path}/{name}.pub")
    own, other = public
    token = TokenSigner(f"{tmp_path}/own.key").issue({"exp": 2000, "sub": "a"})
    for trusted in ([own], [other, own], [f"{tmp_path}/own.key"]):
        signer = TokenSigner(f"{tmp_path}/own.key", trusted=trusted)
        assert signer.verify(token, 1000)["sub"] == "a"
    with pytest.raises(TokenError):
        TokenSigner(f"{tmp_path}/own.key", trusted=[other]).verify(token, 1000)

# SPDX-License-Identifier: Apache-2.0
"""JSON Web Tokens that are good, and those that attackers bring."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from pytrace_cas.access import AccessSettings
from pytrace_cas.access.credentials import Credentials
from pytrace_cas.access.identity import Identity
from pytrace_cas.access.web_tokens import WebTokens
from tests.support.credentials import Issuer

if TYPE_CHECKING:
    from pathlib import Path

ISSUER = Issuer()


@pytest.fixture
def jwks(tmp_path: Path) -> str:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(ISSUER.jwks()))
    return str(path)


@pytest.fixture
def tokens(jwks: str) -> WebTokens:
    return WebTokens.read(jwks, "cache", "issuer")


def part(value: Any) -> str:
    """Encode a part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(algorithm: str, secret: bytes | None, **header: Any) -> str:
    """Make a token that is signed with a shared secret, or not at all."""
    claims = {"sub": "jane", "exp": int(time.time()) + 60, "aud": "cache", "iss": "issuer"}
    signed = f"{part({'alg': algorithm, 'typ': 'JWT'} | header)}.{part(claims)}"
    signature = b"" if secret is None else hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{part(signature)}"


@pytest.mark.parametrize("name", ["RS256", "ES256", "EdDSA"])
def test_good_tokens_name_their_subject(tokens: WebTokens, name: str) -> None:
    found = tokens.check(ISSUER.token(name))
    assert found is not None
    assert found[0] == Identity("jane", "jwt")
    assert tokens.check(ISSUER.token(name, aud=["other", "cache"], nbf=time.time() - 1))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": time.time() - 60},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 32_503_680_000},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": None},
        {"iss": "other"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
    ],
)
def test_claims_that_do_not_fit_are_refused(tokens: WebTokens, claims: dict[str, Any]) -> None:
    assert tokens.check(ISSUER.token(**claims)) is None


@pytest.mark.parametrize("kid", ["rs256", "es256", "eddsa"])
def test_unsigned_tokens_are_refused(tokens: WebTokens, kid: str) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        assert tokens.check(forged(algorithm, None, kid=kid)) is None


@pytest.mark.parametrize("name", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_shared_secret(tokens: WebTokens, name: str) -> None:
    pem = ISSUER.public_pem(name)
    for secret in (pem, pem.strip(), json.dumps(ISSUER.jwk(name)).encode(), b""):
        for algorithm in ("HS256", name):
            assert tokens.check(forged(algorithm, secret, kid=name.lower())) is None


def test_keys_of_others_are_refused(tokens: WebTokens) -> None:
    stranger = Issuer()
    for name in ("RS256", "ES256", "EdDSA"):
        assert tokens.check(stranger.token(name)) is None
        assert tokens.check(stranger.token(name, {"jwk": stranger.jwk(name)})) is None
        assert tokens.check(ISSUER.token(name, {"kid": "unknown"})) is None
        assert tokens.check(ISSUER.token(name, {"kid": "rs256" if name == "ES256" else "es256"})) is None


def test_a_token_that_was_changed_is_refused(tokens: WebTokens) -> None:
    head, _, signature = ISSUER.token().split(".")
    claims = part({"sub": "root", "exp": int(time.time()) + 60, "aud": "cache", "iss": "issuer"})
    for token in (f"{head}.{claims}.{signature}", "", "a.b.c", "....", f"{head}..", "\udcff.x.y"):
        assert tokens.check(token) is None


def test_without_an_audience_a_token_for_somebody_is_refused(jwks: str) -> None:
    tokens = WebTokens.read(jwks, None, None)
    assert tokens.check(ISSUER.token(aud=None, iss=None))
    assert tokens.check(ISSUER.token()) is None


def test_a_token_is_remembered_no_longer_than_it_lasts(jwks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Credentials(AccessSettings(jwks_file=jwks, jwt_audience="cache", jwt_issuer="issuer"))
    header = f"Bearer {ISSUER.token()}"
    assert credentials.check(header) == Identity("jane", "jwt")
    assert credentials.remembered(header)
    now = time.time()
    monkeypatch.setattr("pytrace_cas.access.credentials.time.time", lambda: now + 71)
    assert credentials.remembered(header) is None

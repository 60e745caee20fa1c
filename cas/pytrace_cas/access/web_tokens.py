# SPDX-License-Identifier: Apache-2.0
"""JSON Web Tokens, verified with the public keys of a JWKS file (RFC 7515, 7517, 7519)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytrace_cas.access.files import BadAccessFile, content
from pytrace_cas.access.identity import JWT, Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jwt import PyJWK

# The algorithm follows from the key, never from the token: a public key can then not be taken for a shared secret.
_ALGORITHMS: dict[tuple[Any, Any], str] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
_SMALLEST_RSA = 2048
# How far the clocks of issuer and server may differ.
LEEWAY_SECONDS = 10
IDENTITY_CLAIM = "sub"


class WebTokens:
    """The keys of one file, by `kid`. A token must expire; `audience` and `issuer` must be as set.

    Where no audience is set, a token that names one is refused: it is meant for somebody else.
    """

    def __init__(self, keys: Mapping[str, tuple[str, PyJWK]], audience: str | None, issuer: str | None) -> None:
        # Imported here, since few servers have such tokens.
        import jwt

        self._jwt = jwt
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self._required = ["exp", IDENTITY_CLAIM, *(["aud"] if audience else ()), *(["iss"] if issuer else ())]

    @classmethod
    def read(cls, path: str, audience: str | None, issuer: str | None) -> WebTokens:
        """Read a file; raise `BadAccessFile`. Keys that are marked as for encryption are passed over."""
        try:
            entries = json.loads(content(path))["keys"]
            entries = [entry for entry in entries if entry.get("use", "sig") == "sig"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadAccessFile(path, "it is no JSON Web Key Set") from None
        keys: dict[str, tuple[str, PyJWK]] = {}
        for number, entry in enumerate(entries, 1):
            kid, algorithm, key = _key(path, f"key {number}", entry)
            if kid in keys:
                raise BadAccessFile(path, f"key {number} has the kid of another one")
            keys[kid] = algorithm, key
        if not keys:
            raise BadAccessFile(path, "it has no key that verifies signatures")
        return cls(keys, audience, issuer)

    def check(self, token: str) -> tuple[Identity, float] | None:
        """Say who it names, and until when (seconds since the epoch); None when it proves nothing."""
        try:
            algorithm, key = self._keys[self._jwt.get_unverified_header(token)["kid"]]
            claims = self._jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": self._required},
            )
        except (self._jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError):
            return None
        name = claims[IDENTITY_CLAIM]
        if not isinstance(name, str) or not name:
            return None
        return Identity(name, JWT), float(claims["exp"]) + LEEWAY_SECONDS


def _key(path: str, which: str, entry: dict[str, Any]) -> tuple[str, str, PyJWK]:
    import jwt

    kid = entry.get("kid")
    if not isinstance(kid, str) or not kid:
        raise BadAccessFile(path, f"{which} has no kid")
    algorithm = _ALGORITHMS.get((entry.get("kty"), entry.get("crv")))
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        raise BadAccessFile(path, f"{which} is not for RS256, ES256 (P-256) or EdDSA (Ed25519)")
    if "d" in entry:
        raise BadAccessFile(path, f"{which} is a private key; publish the public one")
    try:
        key = jwt.PyJWK(entry, algorithm=algorithm)
    except jwt.PyJWTError:
        raise BadAccessFile(path, f"{which} is malformed") from None
    if algorithm == "RS256" and key.key.key_size < _SMALLEST_RSA:
        raise BadAccessFile(path, f"{which} has less than {_SMALLEST_RSA} bits")
    return kid, algorithm, key

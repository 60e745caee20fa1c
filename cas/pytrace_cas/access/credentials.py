# SPDX-License-Identifier: Apache-2.0
"""From an Authorization header to an identity, by the files of one reading; what was checked is remembered."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import threading
import time
from typing import TYPE_CHECKING

from pytrace_cas.access.passwords import Passwords
from pytrace_cas.access.tokens import Tokens
from pytrace_cas.access.web_tokens import WebTokens

if TYPE_CHECKING:
    from pytrace_cas.access.identity import Identity
    from pytrace_cas.access.settings import AccessSettings

_REMEMBERED = 4096
_FOREVER = float("inf")
Found = tuple["Identity | None", float]


class Credentials:
    """Safe to call from many threads. Secrets are remembered as hashes under a key of this process."""

    def __init__(self, settings: AccessSettings) -> None:
        self._passwords = Passwords.read(settings.htpasswd_file) if settings.htpasswd_file else None
        self._tokens = Tokens.read(settings.bearer_token_file) if settings.bearer_token_file else None
        self._web_tokens = (
            WebTokens.read(settings.jwks_file, settings.jwt_audience, settings.jwt_issuer)
            if settings.jwks_file
            else None
        )
        self._secret = os.urandom(32)
        # Good ones apart: a flood of wrong ones must not make the server forget them.
        self._good: dict[bytes, Found] = {}
        self._wrong: dict[bytes, Found] = {}
        self._one_at_a_time = threading.Lock()

    @property
    def headers(self) -> bool:
        """Whether an Authorization header means anything."""
        return bool(self._passwords or self._tokens or self._web_tokens)

    def challenges(self) -> tuple[str, ...]:
        """Values of WWW-Authenticate (RFC 9110, 11.6.1)."""
        basic = ('Basic realm="pytrace-cas", charset="UTF-8"',) if self._passwords else ()
        bearer = ('Bearer realm="pytrace-cas"',) if self._tokens or self._web_tokens else ()
        # No scheme is registered for what TLS does.
        return basic + bearer or ('Certificate realm="pytrace-cas"',)

    def remembered(self, header: str) -> Found | None:
        """What an earlier check of the same header found, if it still holds."""
        key = self._key(header)
        found = self._good.get(key) or self._wrong.get(key)
        return found if found is not None and found[1] > time.time() else None

    def check(self, header: str) -> Identity | None:
        """Say who it is; None when it proves nothing. A password takes long, the first time."""
        if not self.is_slow(header):
            return self._look(header)[0]
        # Many calls of one client begin at once: the first does the work. Never held on the event loop.
        with self._one_at_a_time:
            return self._look(header)[0]

    def is_slow(self, header: str) -> bool:
        """Whether a check would take long."""
        return self._passwords is not None and header[:6].lower() == "basic "

    def _look(self, header: str) -> Found:
        found = self.remembered(header)
        if found is None:
            found = self._check(header)
            self._remember(header, found)
        return found

    def _check(self, header: str) -> Found:
        scheme, _, rest = header.partition(" ")
        if scheme.lower() == "basic" and self._passwords:
            return self._check_password(self._passwords, rest.strip()), _FOREVER
        if scheme.lower() == "bearer":
            return self._check_bearer(rest.strip())
        return None, _FOREVER

    @staticmethod
    def _check_password(passwords: Passwords, encoded: str) -> Identity | None:
        try:
            name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
            return passwords.check(name.decode("utf-8"), password) if colon else None
        except (binascii.Error, UnicodeError, ValueError):
            return None

    def _check_bearer(self, token: str) -> Found:
        if self._tokens and (identity := self._tokens.check(token)):
            return identity, _FOREVER
        if self._web_tokens and (found := self._web_tokens.check(token)):
            return found
        # A token that is not valid yet may be, later.
        return None, time.time() + 1

    def _remember(self, header: str, found: Found) -> None:
        known = self._wrong if found[0] is None else self._good
        if len(known) >= _REMEMBERED:
            known.clear()
        known[self._key(header)] = found

    def _key(self, header: str) -> bytes:
        return hmac.digest(self._secret, header.encode("utf-8", "surrogateescape"), "sha256")

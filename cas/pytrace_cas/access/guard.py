# SPDX-License-Identifier: Apache-2.0
"""The one place that both servers ask: who calls, and whether they may."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.access import rights
from pytrace_cas.access.credentials import Credentials
from pytrace_cas.access.rights import Right, Rights
from pytrace_cas.services.errors import NotPermitted, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.access.identity import Identity
    from pytrace_cas.access.settings import AccessSettings


@attrs.frozen
class Rules:
    """What one reading of the files says; a call that has begun is held against one of them."""

    credentials: Credentials
    rights: Rights

    @classmethod
    def read(cls, settings: AccessSettings) -> Rules:
        """Read the files; raise `BadAccessFile`."""
        grants = rights.read(settings.rights_file) if settings.rights_file else [rights.EVERYBODY_ALL]
        anonymous = rights.READ_ONLY if settings.allow_unauthenticated_reads else rights.NONE
        return cls(Credentials(settings), Rights(grants, anonymous))


class Guard:
    """Asks callers who they are when the settings give a way to show it, and lets everybody in when not."""

    def __init__(self, settings: AccessSettings) -> None:
        """Read the files; raise `BadAccessFile`."""
        self._settings = settings
        self._rules = Rules.read(settings)
        self.open = not settings.authenticates
        self.certificates = settings.tls_ca_file is not None
        # bcrypt is slow on purpose. A thread of its own, so that wrong passwords hold up nothing but passwords.
        self._executor = ThreadPoolExecutor(1, "passwords")

    def read(self) -> Callable[[], None]:
        """Read the files again; what comes back puts them in force. Raise `BadAccessFile`."""
        rules = Rules.read(self._settings)

        def use() -> None:
            self._rules = rules

        return use

    def close(self) -> None:
        """Give up checks that nobody waits for any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def identify(self, header: str | None, certificate: Callable[[], Identity | None]) -> Identity | None:
        """Say who calls: an Authorization header counts before a certificate; None is anonymous.

        Raises `Unauthenticated` when the header proves nothing, even where anonymous callers are let in.
        """
        credentials = self._rules.credentials
        if header is None or not credentials.headers:
            return certificate() if self.certificates else None
        found = credentials.remembered(header)
        if found is not None:
            identity = found[0]
        elif credentials.is_slow(header):
            loop = asyncio.get_running_loop()
            identity = await loop.run_in_executor(self._executor, credentials.check, header)
        else:
            identity = credentials.check(header)
        if identity is None:
            raise Unauthenticated("these credentials are not valid here", credentials.challenges())
        return identity

    def check(self, identity: Identity | None, instance: str, any_of: tuple[Right, ...]) -> None:
        """Raise `Unauthenticated` or `NotPermitted` unless they have one of these rights in the instance."""
        if self.open or not self._rules.rights.of(identity, instance).isdisjoint(any_of):
            return
        if identity is None:
            raise self.unknown()
        raise NotPermitted(identity.name, any_of[0].value if len(any_of) == 1 else "that", instance)

    def check_anywhere(self, identity: Identity | None) -> None:
        """Raise `Unauthenticated` or `NotPermitted` unless they have some right in some instance."""
        if self.open or self._rules.rights.anywhere(identity):
            return
        if identity is None:
            raise self.unknown()
        raise NotPermitted(identity.name, "that", "*")

    def may(self, identity: Identity | None, instance: str, right: Right) -> bool:
        """Whether they have that right in the instance."""
        return self.open or right in self._rules.rights.of(identity, instance)

    def unknown(self) -> Unauthenticated:
        """What callers are told who did not say who they are."""
        return Unauthenticated("credentials are needed for that", self._rules.credentials.challenges())

# SPDX-License-Identifier: Apache-2.0
"""What a store remembers of a remote: the digest function that they share, and that it failed a moment ago."""

from __future__ import annotations

import time

from pytrace_cas.digest import FUNCTIONS
from pytrace_cas.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store import Store

SHORTEST, LONGEST = 5.0, 60.0
_SHARE = 3
_FAILURE = "remote-failure"


class Remembered:
    """Notes of one store on one remote, which is known by its `name`. Nothing here fails a run."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    @property
    def function(self) -> DigestFunction | None:
        """The digest function that results are shared under."""
        return FUNCTIONS.get(self._store.setting(f"digest-function {self._name}") or "")

    @function.setter
    def function(self, function: DigestFunction | None) -> None:
        if self.function is not function:
            self._store.set_setting(f"digest-function {self._name}", function.name if function else "")

    def failed(self, why: str, seconds: float) -> None:
        """Note that the remote failed and that this took so long.

        It is left alone for three times as long, so that a remote that does not answer takes about a quarter of the
        time; at least 5 s, since many runs may follow one another at once, and at most a minute.
        """
        until = time.time() + min(LONGEST, max(SHORTEST, _SHARE * seconds))
        try:
            self._store.remember(_FAILURE, self._name.encode(), f"{until} {why}".encode())
        except StoreError:
            return  # The next run finds out for itself.

    def forgive(self) -> None:
        """Forget that the remote failed, so that it is asked at once; raise a `StoreError`."""
        self._store.forget(_FAILURE, self._name.encode())

    def failure(self) -> str | None:
        """Why the remote failed, if that is so short ago that it is not to be asked."""
        note = self._store.recall(_FAILURE, self._name.encode())
        if note is None:
            return None
        until, _, why = note.decode("utf-8", "replace").partition(" ")
        # Outside the bounds the clock was set meanwhile.
        return why if 0 < float(until) - time.time() <= LONGEST else None

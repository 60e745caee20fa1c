# SPDX-License-Identifier: Apache-2.0
"""The line to a remote during one run: opened by the first question, dead after the first failure."""

from __future__ import annotations

import time

from pytrace_cas.digest import SHA256, function_named
from pytrace_exec.cache.errors import RemoteFailed, RemoteRefused, RemoteSkipped
from pytrace_exec.cache.remote import connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from pytrace_cas.digest import DigestFunction
    from pytrace_exec.cache.errors import RemoteTrouble
    from pytrace_exec.cache.remembered import Remembered
    from pytrace_exec.cache.remote import Address, Remote, Terms
    from pytrace_exec.options import Options

    T = TypeVar("T")


class Line:
    """Asks a remote, and turns whatever goes wrong with it into an answer that costs no more than a miss.

    `function` is the digest function that this run shares with the remote, `troubles` what the statistics tell of it,
    `read_only` whether it says that it takes no results. A remote that failed a moment ago is not asked at all, nor is
    any when there is a reason to be `barred`.
    """

    def __init__(self, address: Address, options: Options, remembered: Remembered, barred: str | None = None) -> None:
        self._address = address
        self._options = options
        self._remembered = remembered
        self._remote: Remote | None = None
        self._terms: Terms | None = None
        self.troubles: list[RemoteTrouble] = []
        self.read_only = False
        self.dead = False
        self._skipped: RemoteSkipped | None = None
        if barred is None and (why := remembered.failure()):
            barred = f"it failed a moment ago: {why}"
        if barred is not None:
            self._skip(barred)
        self.function = self._agree(options.digest_function)

    def ask(self, question: Callable[[Remote, Terms], T], otherwise: T) -> T:
        """Ask; give `otherwise`, at once or after noting why, when the remote cannot answer."""
        return self._try(lambda: question(*self._shared()), otherwise)

    def note(self, trouble: RemoteTrouble) -> None:
        """Have the statistics tell of something that does not end the line."""
        if all(str(known) != str(trouble) for known in self.troubles):
            self.troubles.append(trouble)

    def hang_up(self) -> None:
        """Close the connection; the next question opens another one."""
        if self._remote is not None:
            self._remote.close()

    def _skip(self, why: str) -> None:
        """Ask nothing; the first question that would have been asked is told of."""
        self.dead = True
        self._skipped = RemoteSkipped(self._address.name, f"not asked, since {why}")

    def _try(self, call: Callable[[], T], otherwise: T) -> T:
        if self.dead:
            if self._skipped is not None:
                self.note(self._skipped)
            return otherwise
        begun = time.monotonic()
        try:
            return call()
        except RemoteFailed as error:
            self.dead = True
            self.note(error)
            self.hang_up()
            self._remembered.failed(error.why, time.monotonic() - begun)
        except RemoteRefused as error:
            self.note(error)
        return otherwise

    def _opened(self) -> tuple[Remote, Terms]:
        if self._remote is None:
            self._remote = connect(self._address, self._options)
        if self._terms is None:
            self._terms = self._remote.terms()
            self.read_only = self._terms.may_write is False
        return self._remote, self._terms

    def _shared(self) -> tuple[Remote, Terms]:
        """The remote, if it knows the function of this run; else the next run agrees with it anew."""
        remote, terms = self._opened()
        if self.function.name not in terms.functions:
            self._remembered.function = None
            raise RemoteFailed(self._address.name, f"it does not know {self.function.name} (--digest-function)")
        return remote, terms

    def _agree(self, chosen: str | None) -> DigestFunction:
        """The function as chosen, or as remembered, or the remote's own: SHA-256 when it offers several."""
        if chosen is not None:
            return function_named(chosen)
        if self._remembered.function is not None:
            return self._remembered.function
        if self.dead:
            return SHA256
        offered = self._try(self._offered, None)
        if offered is not None:
            self._remembered.function = offered
        return offered or SHA256

    def _offered(self) -> DigestFunction | None:
        _, terms = self._opened()
        return terms.function

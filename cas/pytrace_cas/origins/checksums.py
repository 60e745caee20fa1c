# SPDX-License-Identifier: Apache-2.0
"""Subresource integrity (W3C SRI), as the qualifier `checksum.sri` has it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.origins.errors import ChecksumMismatch

if TYPE_CHECKING:
    from typing import Any

# Weakest first: of several functions, only the strongest counts.
FUNCTIONS = ("sha256", "sha384", "sha512")


class MalformedChecksum(ValueError):
    """A text that is no integrity metadata; `text` is what was given."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no checksum: write sha256-BASE64, or with sha384 or sha512")
        self.text = text


@attrs.frozen
class Checksum:
    """What the bytes of an asset must hash to: one of `hashes`."""

    function: str
    hashes: frozenset[bytes]

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """Read one or more `FUNCTION-BASE64[?options]`, separated by blanks; raise `MalformedChecksum`."""
        found: dict[str, set[bytes]] = {}
        for word in text.split():
            function, _, value = word.partition("?")[0].partition("-")
            try:
                hash = base64.b64decode(value, validate=True)
            except binascii.Error:
                raise MalformedChecksum(text) from None
            if function not in FUNCTIONS or len(hash) != hashlib.new(function).digest_size:
                raise MalformedChecksum(text)
            found.setdefault(function, set()).add(hash)
        if not found:
            raise MalformedChecksum(text)
        strongest = max(found, key=FUNCTIONS.index)
        return cls(strongest, frozenset(found[strongest]))

    def begin(self) -> Any:
        """Return a hash state to feed the bytes to."""
        return hashlib.new(self.function)

    def verify(self, state: Any) -> None:
        """Raise `ChecksumMismatch` unless the bytes that were fed are the right ones."""
        if state.digest() not in self.hashes:
            expected = " or ".join(sorted(self._text(hash) for hash in self.hashes))
            raise ChecksumMismatch(expected, self._text(state.digest()))

    def _text(self, hash: bytes) -> str:
        return f"{self.function}-{base64.b64encode(hash).decode()}"

# SPDX-License-Identifier: Apache-2.0
"""Digests and the functions that make them (REAPI v2, `Digest` and `DigestFunction`).

On the wrapper's start-up path: the modules that hash are imported when they are first used (`hashlib` loads OpenSSL,
which a store with BLAKE3 does not need).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class MalformedDigest(ValueError):
    """A text or a message that names no digest; `text` is what was given, `why` what is wrong with it."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"not a digest: {text!r}: {why}")
        self.text = text
        self.why = why


class Digest:
    """Hash and size in bytes of a blob; immutable, ordered, hashable.

    The hash is lower-case hex. Which function made it is the caller's to know: a `Digest` alone does not say.
    """

    __slots__ = ("hash", "size_bytes")

    hash: str
    size_bytes: int

    def __init__(self, hash: str, size_bytes: int) -> None:
        object.__setattr__(self, "hash", hash)
        object.__setattr__(self, "size_bytes", size_bytes)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Digest is immutable; {name} cannot be set")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and self.hash == other.hash and self.size_bytes == other.size_bytes

    def __lt__(self, other: Digest) -> bool:
        return (self.hash, self.size_bytes) < (other.hash, other.size_bytes)

    def __hash__(self) -> int:
        return hash((self.hash, self.size_bytes))

    def __repr__(self) -> str:
        return f"Digest({self.hash!r}, {self.size_bytes})"

    def __str__(self) -> str:
        return f"{self.hash}/{self.size_bytes}"

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `hash/size` or `hash-size`; raise `MalformedDigest` otherwise."""
        for separator in "/-":
            name, found, size = text.partition(separator)
            if found:
                if not size.isascii() or not size.isdigit():
                    raise MalformedDigest(text, "the size is not a decimal number")
                if not name or name.strip("0123456789abcdef"):
                    raise MalformedDigest(text, "the hash is not lower-case hex")
                return cls(name, int(size))
        raise MalformedDigest(text, "it has the form HASH/SIZE")


def _sha256() -> Any:
    from hashlib import sha256

    return sha256()


def _hashlib(name: str) -> Callable[[], Any]:
    def new() -> Any:
        import hashlib

        # What the protocol names things by, whatever else a machine's policy forbids.
        return hashlib.new(name, usedforsecurity=False)

    return new


def _blake3() -> Any:
    from blake3 import blake3

    return blake3()


class DigestFunction:
    """One of REAPI's digest functions.

    `name` is the lower-case name in resource names and on disk, `number` REAPI's enum value, `length` the
    number of hex digits, `inferable` whether a client may leave the field unset (REAPI v2).
    """

    __slots__ = ("empty", "inferable", "length", "name", "new", "number")

    def __init__(self, name: str, number: int, length: int, inferable: bool, new: Callable[[], Any]) -> None:
        self.name = name
        self.number = number
        self.length = length
        self.inferable = inferable
        self.new = new
        self.empty: Digest | None = None

    def __repr__(self) -> str:
        return f"DigestFunction({self.name})"

    def of(self, data: bytes) -> Digest:
        """Digest of bytes at hand."""
        state = self.new()
        state.update(data)
        return Digest(state.hexdigest(), len(data))

    def empty_digest(self) -> Digest:
        """Digest of the empty blob, which every cache holds."""
        if self.empty is None:
            self.empty = self.of(b"")
        return self.empty

    def check(self, digest: Digest) -> Digest:
        """Return the digest if this function can have made it; raise `MalformedDigest` otherwise."""
        text = digest.hash
        if len(text) != self.length or text.strip("0123456789abcdef"):
            raise MalformedDigest(text, f"{self.name} gives {self.length} lower-case hex digits")
        if digest.size_bytes < 0:
            raise MalformedDigest(str(digest), "the size is negative")
        if (digest.size_bytes == 0) != (text == self.empty_digest().hash):
            raise MalformedDigest(str(digest), "only the empty blob has size 0")
        return digest

    def can_make(self, digest: Digest) -> bool:
        """Whether this function can have made the digest."""
        try:
            self.check(digest)
        except MalformedDigest:
            return False
        return True


SHA256 = DigestFunction("sha256", 1, 64, True, _sha256)
BLAKE3 = DigestFunction("blake3", 9, 64, False, _blake3)
SHA1 = DigestFunction("sha1", 2, 40, True, _hashlib("sha1"))
MD5 = DigestFunction("md5", 3, 32, True, _hashlib("md5"))
SHA384 = DigestFunction("sha384", 5, 96, True, _hashlib("sha384"))
SHA512 = DigestFunction("sha512", 6, 128, True, _hashlib("sha512"))
FUNCTIONS = {function.name: function for function in (SHA256, BLAKE3, SHA384, SHA512, SHA1, MD5)}
# What a key may be made with where this project chooses: nobody can make two blobs of one digest.
TRUSTED = {function.name: function for function in (SHA256, BLAKE3)}


def function_named(name: str) -> DigestFunction:
    """The function of that name, in any case; raise `ValueError` naming the known ones."""
    try:
        return FUNCTIONS[name.lower()]
    except KeyError:
        raise ValueError(f"unknown digest function {name!r}; known: {', '.join(FUNCTIONS)}") from None

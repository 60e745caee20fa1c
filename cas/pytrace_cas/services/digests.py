# SPDX-License-Identifier: Apache-2.0
"""From the digests of a request to ours: which function made them, and whether it can have (WIRE 1-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.digest import FUNCTIONS, SHA256, Digest, DigestFunction, MalformedDigest
from pytrace_cas.services.errors import InvalidRequest
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterable

BY_NUMBER = {function.number: function for function in FUNCTIONS.values()}
BY_LENGTH = {function.length: function for function in FUNCTIONS.values() if function.inferable}


def function_of(number: int, hash: str) -> DigestFunction:
    """Choose the function: the one the request names, else the one whose hashes are that long."""
    if number:
        if function := BY_NUMBER.get(number):
            return function
        raise InvalidRequest("digest_function", f"{_name(number)} is not offered here; {_offered()} are")
    if function := BY_LENGTH.get(len(hash)):
        return function
    raise InvalidRequest("digest", f"no function offered here makes {len(hash)} digits: {hash!r}")


def _name(number: int) -> str:
    value = reapi.DigestFunction.DESCRIPTOR.enum_types_by_name["Value"].values_by_number.get(number)
    return value.name if value else str(number)


def _offered() -> str:
    return ", ".join(function.name.upper() for function in FUNCTIONS.values())


def digest_of(message: reapi.Digest, function: DigestFunction, field: str = "digest") -> Digest:
    """Check a digest and return it as a value; raise `InvalidRequest` naming `field`."""
    return check(Digest(message.hash, message.size_bytes), function, field)


def check(digest: Digest, function: DigestFunction, field: str = "digest") -> Digest:
    """Return the digest if the function can have made it; raise `InvalidRequest` naming `field`."""
    try:
        return function.check(digest)
    except MalformedDigest as error:
        raise InvalidRequest(field, str(error)) from None


def check_hash(hash: str, function: DigestFunction) -> str:
    """Return the hash if the function can have made it; raise `InvalidRequest`."""
    if hash != function.empty_digest().hash:
        check(Digest(hash, 1), function, "hash")
    return hash


def function_among(number: int, messages: Iterable[reapi.Digest]) -> DigestFunction:
    """Choose the function of a batch whose entries are judged one by one.

    The first hash that has the length of some function decides; SHA-256 when none has, so that every entry is
    refused for itself.
    """
    if number:
        return function_of(number, "")
    inferred = (BY_LENGTH.get(len(message.hash)) for message in messages)
    return next(filter(None, inferred), SHA256)


def to_message(digest: Digest) -> reapi.Digest:
    """Return the digest as REAPI writes it."""
    return reapi.Digest(hash=digest.hash, size_bytes=digest.size_bytes)

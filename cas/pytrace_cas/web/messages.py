# SPDX-License-Identifier: Apache-2.0
"""Reading REAPI messages out of a store to show them: bounded, and with a plain word for what is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.services.limits import MESSAGE
from pytrace_cas.web.errors import TooLargeToShow

if TYPE_CHECKING:
    from pytrace_cas.services.backing import Store
    from pytrace_cas.web.addresses import BlobAddress

M = TypeVar("M", bound=Message)
# A message that is taken apart takes several times its size.
LARGEST = MESSAGE


def read_bytes(store: Store, address: BlobAddress, limit: int = LARGEST) -> bytes:
    """All of a blob; raise `BlobNotFound`, `TooLargeToShow`."""
    if address.digest.size_bytes > limit:
        raise TooLargeToShow(address.digest, limit)
    return store.get(address.function, address.digest)


def read_message(store: Store, address: BlobAddress, kind: type[M]) -> M:
    """A blob as a message; raise `BlobNotFound`, `TooLargeToShow`, or `InvalidRequest` for one of another kind."""
    try:
        return kind.FromString(read_bytes(store, address))
    except DecodeError:
        raise InvalidRequest("address", f"{address.digest} is no {kind.DESCRIPTOR.name}") from None

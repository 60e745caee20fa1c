# SPDX-License-Identifier: Apache-2.0
"""What is asked of one tier of a cache. Only the type checker imports this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.reapi import ActionResult


class Tier(Protocol):
    """One place that results are looked up in and stored in."""

    @property
    def source(self) -> str:
        """Its name in the statistics."""

    @property
    def slots(self) -> int:
        """How many entries a list of path sets may use: several where an entry cannot always be changed."""

    @property
    def function(self) -> DigestFunction:
        """The digest function of every key and blob."""

    @property
    def writable(self) -> bool:
        """Whether results can be stored, as far as is known."""

    def get_result(self, action: Digest) -> ActionResult | None:
        """The result under a key."""

    def put_result(self, action: Digest, result: ActionResult, along: Iterable[Digest] = ()) -> bool:
        """Keep a result after the blobs it needs and those that go `along`; raise `BlobMissing`.

        False: it was not taken.
        """

    def get(self, digest: Digest) -> bytes:
        """A blob, verified; raise `BlobMissing`."""

    def fetch(self, digests: Iterable[Digest]) -> list[Digest]:
        """Have the blobs of a result at hand; return those that cannot be had."""

    def put(self, blobs: Mapping[Digest, bytes]) -> None:
        """Keep blobs, at the latest with the result that is put next."""

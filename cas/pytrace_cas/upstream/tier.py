# SPDX-License-Identifier: Apache-2.0
"""What can be asked of a cache elsewhere, whatever it speaks, and what can go wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytrace_cas.digest import Digest, DigestFunction

CHUNK = 1 << 20
"""Bytes of a blob that are in memory at a time."""
LARGEST_RESULT = 64 << 20
"""Bytes of the largest message that is taken for a result."""
WAITING = 64
"""Calls of one tier that may be under way at once."""
SLOWEST = 1 << 20
"""Bytes a second: a tier that is slower than this counts as one that does not answer."""


class TierFailed(Exception):
    """The tier is down, slow, wants other credentials, or answers nonsense; `tier` is its name."""

    def __init__(self, tier: str, why: str) -> None:
        super().__init__(f"{tier}: {why}")
        self.tier = tier
        self.why = why


class TierSkipped(TierFailed):
    """The tier was not asked: it failed again and again, or too many wait for it. `status` says which."""

    def __init__(self, tier: str, status: str) -> None:
        super().__init__(tier, f"not asked: {status}")
        self.status = status


class TierRefused(Exception):
    """The tier is well and does not take this; asking again later may help, asking at once will not."""

    def __init__(self, tier: str, why: str) -> None:
        super().__init__(f"{tier}: {why}")
        self.tier = tier
        self.why = why


class BlobAbsent(Exception):
    """The tier does not have the blob."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(f"blob {digest} is not there")
        self.digest = digest


class Tier(Protocol):
    """A cache elsewhere. Any thread may call; a connection is made when it is first needed.

    Every method raises `TierFailed` and `TierRefused`. Nothing that is read is verified yet. `name` tells the scheme
    and the host, no path and no secret.
    """

    name: str

    def serves(self, function: DigestFunction) -> bool:
        """Whether the tier holds blobs of that function."""

    def missing(self, function: DigestFunction, digests: Sequence[Digest]) -> list[Digest]:
        """Those of the digests that are not there, or may not be."""

    def find(self, function: DigestFunction, hash: str) -> Digest | None:
        """Digest of the blob with that hash; None if it is not there, or the tier cannot tell without its size."""

    def read(self, function: DigestFunction, digest: Digest, sink: Callable[[bytes], object]) -> None:
        """Hand a blob to a sink, a piece at a time; raise `BlobAbsent`, and what the sink raises."""

    def write(self, function: DigestFunction, digest: Digest, chunks: Iterable[bytes]) -> None:
        """Store a blob that comes in pieces."""

    def get_result(self, function: DigestFunction, instance: str, digest: Digest) -> bytes | None:
        """The message of an action's result."""

    def put_result(self, function: DigestFunction, instance: str, digest: Digest, message: bytes) -> None:
        """Store a result's message."""

    def close(self) -> None:
        """Let go of the connections."""


def patience(timeout: float, size_bytes: int) -> float:
    """Seconds that a call may take which moves so many bytes."""
    return timeout + size_bytes / SLOWEST

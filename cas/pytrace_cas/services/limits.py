# SPDX-License-Identifier: Apache-2.0
"""Bounds on what one call may carry, all in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from pytrace_cas.services.errors import BlobTooLarge

if TYPE_CHECKING:
    from pytrace_cas.digest import Digest

# What gRPC clients accept in one message unless they say otherwise.
MESSAGE = 4 << 20
# Digests, statuses and framing need room beside the blobs of a batch.
BATCH = MESSAGE - (256 << 10)
# Messages that carry pieces of a blob: large enough that the cost of a message does not count.
CHUNK = 1 << 20
# Blobs that are read as messages are in memory as a whole; larger ones name no directory or tree that clients make.
LARGEST_DIRECTORY = 16 << 20
LARGEST_TREE = 64 << 20  # all those of a result together
LARGE_TREES = 4 << 20  # of a result: a process reads those of one at a time


@attrs.frozen
class Limits:
    """Bounds that Capabilities announces and the services enforce."""

    batch_bytes: int = BATCH
    # 0: as large as the store holds.
    blob_bytes: int = 0

    def check_blob(self, digest: Digest) -> None:
        """Raise `BlobTooLarge` when an upload of that size is not taken."""
        if 0 < self.blob_bytes < digest.size_bytes:
            raise BlobTooLarge(digest, self.blob_bytes)

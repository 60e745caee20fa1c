# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between the wrapper and a cache."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import Digest


class BlobMissing(Exception):
    """A blob that a result needs is in no cache that was asked, or is not what its digest says."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(f"blob {digest} is missing")
        self.digest = digest


class CacheFailed(Exception):
    """A cache did not answer, or answered nonsense: counted, and the command runs uncached."""

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


class RemoteTrouble(CacheFailed):
    """Something about the remote that the statistics tell; `code` names it, `remote` is its address."""

    code = "remote_failed"

    def __init__(self, remote: str, why: str) -> None:
        super().__init__(f"{remote}: {why}")
        self.remote = remote
        self.why = why


class RemoteFailed(RemoteTrouble):
    """The remote is down, slow, refuses to be read or sent what cannot be right: it is not asked again in this run."""


class RemoteDenied(RemoteFailed):
    """The remote wants credentials, or others than it was given."""


class RemoteSkipped(RemoteTrouble):
    """The remote was not asked at all, for a reason known before."""

    code = "remote_skipped"


class RemoteRefused(RemoteTrouble):
    """The remote takes no writes, or not this one; it can still be read."""

    code = "remote_refused"


class RemoteLacks(RemoteTrouble):
    """The remote has a result, but not every blob that the result needs."""

    code = "remote_lacks_blob"

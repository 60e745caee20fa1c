# SPDX-License-Identifier: Apache-2.0
"""Where assets are published, and fetching from there: which origins are allowed, checksums, downloads.

What fetching needs of libraries is imported with the first download.
"""

from __future__ import annotations

from pytrace_cas.origins.allowed import AllowedOrigin, AllowList, MalformedOrigin
from pytrace_cas.origins.checksums import Checksum, MalformedChecksum
from pytrace_cas.origins.errors import (
    AssetAbsent,
    AssetTooLarge,
    ChecksumMismatch,
    FetchError,
    NoRoom,
    NotAllowed,
    OriginFailed,
    OriginRefused,
    OriginTimeout,
    TruncationPossible,
)

__all__ = [
    "AllowList",
    "AllowedOrigin",
    "AssetAbsent",
    "AssetTooLarge",
    "Checksum",
    "ChecksumMismatch",
    "FetchError",
    "MalformedChecksum",
    "MalformedOrigin",
    "NoRoom",
    "NotAllowed",
    "OriginFailed",
    "OriginRefused",
    "OriginTimeout",
    "TruncationPossible",
]

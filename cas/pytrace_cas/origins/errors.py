# SPDX-License-Identifier: Apache-2.0
"""Why an asset could not be had. Messages name hosts and never whole URLs, which may hold secrets."""

from __future__ import annotations


class FetchError(Exception):
    """An asset could not be had from one place."""


class NotAllowed(FetchError):
    """The place is not on the list of allowed origins, or has an address that only a listed name may have."""

    def __init__(self, origin: str, why: str) -> None:
        super().__init__(f"{origin}: {why}")
        self.origin = origin
        self.why = why


class AssetAbsent(FetchError):
    """Nothing is published there."""

    def __init__(self, origin: str, status: int) -> None:
        super().__init__(f"{origin} answered {status}")
        self.origin = origin
        self.status = status


class OriginRefused(FetchError):
    """The origin does not give it to us."""

    def __init__(self, origin: str, status: int) -> None:
        super().__init__(f"{origin} refused it with {status}")
        self.origin = origin
        self.status = status


class OriginFailed(FetchError):
    """The origin cannot be reached, breaks off, or answers nonsense; another try may do better."""

    def __init__(self, origin: str, why: str) -> None:
        super().__init__(f"{origin}: {why}")
        self.origin = origin
        self.why = why


class OriginTimeout(FetchError):
    """The time for one asset was up."""

    def __init__(self, origin: str, seconds: float) -> None:
        super().__init__(f"{origin} had not given all of it after {seconds:g} s")
        self.origin = origin
        self.seconds = seconds


class AssetTooLarge(FetchError):
    """The asset has more bytes than are taken; `limit` in bytes."""

    def __init__(self, origin: str, limit: int) -> None:
        super().__init__(f"{origin} has more than the {limit} bytes that are taken")
        self.origin = origin
        self.limit = limit


class TruncationPossible(FetchError):
    """The origin does not say where the asset ends, and no checksum would show that a part is missing."""

    def __init__(self, origin: str) -> None:
        super().__init__(f"{origin} does not say how long it is, and the request has no checksum.sri")
        self.origin = origin


class ChecksumMismatch(FetchError):
    """The bytes are others than the checksum says."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"the content is {found}, not {expected}")
        self.expected = expected
        self.found = found


class NoRoom(FetchError):
    """The disk is too full to hold what arrives."""

    def __init__(self) -> None:
        super().__init__("no room for it on this server's disk")

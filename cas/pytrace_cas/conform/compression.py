# SPDX-License-Identifier: Apache-2.0
"""Zstandard as rules need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.conform.registry import Broken

if TYPE_CHECKING:
    from types import ModuleType


def _zstandard() -> ModuleType:
    # Imported here: a cache without compression needs none of it.
    import zstandard

    return zstandard


def compress(data: bytes) -> bytes:
    """One frame."""
    compressed: bytes = _zstandard().ZstdCompressor().compress(data)
    return compressed


def decompress(data: bytes, most: int) -> bytes:
    """Decode frames that follow one another; raise `Broken` for what is none, or more than `most` bytes."""
    import io

    library = _zstandard()
    try:
        with library.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            decoded: bytes = reader.read(most + 1)
    except library.ZstdError as error:
        raise Broken(f"{len(data)} bytes that are no zstd stream ({error})", "frames of zstd") from None
    if len(decoded) > most:
        raise Broken(f"a stream that decodes to more than {most} bytes", f"at most {most}")
    return decoded

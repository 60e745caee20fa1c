# SPDX-License-Identifier: Apache-2.0
"""Zstandard as rules need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.conform.registry import Broken

if TYPE_CHECKING:
    from types import ModuleType


def _zstd() -> ModuleType:
    # Imported here: a cache without compression needs none of it.
    import sys
    from importlib import import_module

    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def compress(data: bytes) -> bytes:
    """One frame."""
    compressed: bytes = _zstd().compress(data)
    return compressed


def decompress(data: bytes, most: int) -> bytes:
    """Decode frames that follow one another; raise `Broken` for what is none, or more than `most` bytes."""
    import io

    library = _zstd()
    try:
        with library.ZstdFile(io.BytesIO(data)) as file:
            decoded: bytes = file.read(most + 1)
    except (library.ZstdError, EOFError) as error:
        raise Broken(f"{len(data)} bytes that are no zstd stream ({error})", "frames of zstd") from None
    if len(decoded) > most:
        raise Broken(f"a stream that decodes to more than {most} bytes", f"at most {most}")
    return decoded

# SPDX-License-Identifier: Apache-2.0
"""A durable content-addressed store with an action cache, in one directory.

What is named here is the surface; the names that opening a store and reading do not need are imported when they are
asked for.
"""

from __future__ import annotations

from pytrace_cas.store.index import CorruptIndex, DiskFailed, IndexFailed, OutOfSpace, ReadOnlyStore, StoreBusy
from pytrace_cas.store.layout import (
    NetworkFileSystem,
    NoStore,
    StoreError,
    StoreIsFile,
    StoreNotWritable,
    StoreOfAnother,
    StoreUnreadable,
)
from pytrace_cas.store.reading import BlobCorrupt, BlobNotFound, BlobReader
from pytrace_cas.store.results import MissingBlobs, StoredResult
from pytrace_cas.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.store.adding import BlobWriter, DigestMismatch, RefusedBlobs, UploadTakenOver
    from pytrace_cas.store.check import CheckReport, Problem
    from pytrace_cas.store.compressed import CompressedReader
    from pytrace_cas.store.eviction import Evicted
    from pytrace_cas.store.mark import FolderInUse
    from pytrace_cas.store.schema import NewerFormat, UnknownFormat
    from pytrace_cas.store.uploads import UploadWriter, WrongOffset

__all__ = [
    "BlobCorrupt",
    "BlobNotFound",
    "BlobReader",
    "BlobWriter",
    "CheckReport",
    "CompressedReader",
    "CorruptIndex",
    "DigestMismatch",
    "DiskFailed",
    "Evicted",
    "FolderInUse",
    "IndexFailed",
    "MissingBlobs",
    "NetworkFileSystem",
    "NewerFormat",
    "NoStore",
    "OutOfSpace",
    "Problem",
    "ReadOnlyStore",
    "RefusedBlobs",
    "Store",
    "StoreBusy",
    "StoreError",
    "StoreIsFile",
    "StoreNotWritable",
    "StoreOfAnother",
    "StoreUnreadable",
    "StoredResult",
    "UnknownFormat",
    "UploadTakenOver",
    "UploadWriter",
    "WrongOffset",
]

_LATER = {
    "BlobWriter": "adding",
    "CheckReport": "check",
    "CompressedReader": "compressed",
    "DigestMismatch": "adding",
    "Evicted": "eviction",
    "FolderInUse": "mark",
    "NewerFormat": "schema",
    "Problem": "check",
    "RefusedBlobs": "adding",
    "UnknownFormat": "schema",
    "UploadTakenOver": "adding",
    "UploadWriter": "uploads",
    "WrongOffset": "uploads",
}


def __getattr__(name: str) -> object:
    """Import a name of `_LATER` (PEP 562)."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)

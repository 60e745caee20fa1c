# SPDX-License-Identifier: Apache-2.0
"""Finding and opening the embedded store, and telling a wrong `--dir` from a store that fails."""

from __future__ import annotations

import os

from pytrace_cas.store import NetworkFileSystem, NoStore, Store, StoreError, StoreIsFile, StoreNotWritable
from pytrace_exec.cache.errors import CacheFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrace_exec.options import Options


class NoPlaceForStore(CacheFailed):
    """Nothing says where the store is."""

    def __init__(self) -> None:
        super().__init__("no store: HOME is not set; --dir names one")


class StoreRefused(Exception):
    """The user chose a place that holds no store of ours and is not to be made one; the message says what to do."""


def store_folder(options: Options, environ: Mapping[bytes, bytes]) -> bytes | None:
    """The store's folder; None when nothing says where it could be."""
    if options.dir is not None:
        return os.path.abspath(options.dir)
    cache = environ.get(b"XDG_CACHE_HOME")
    if cache and cache.startswith(b"/"):
        return os.path.join(cache, b"pytrace")
    home = environ.get(b"HOME")
    return os.path.join(home, b".cache", b"pytrace") if home and home.startswith(b"/") else None


def open_store(options: Options, environ: Mapping[bytes, bytes]) -> Store:
    """Open the store, for reading only if it may not be written; it is made when there is none.

    Raises `StoreRefused` for a place that the user chose and that cannot be a store, which is a usage error;
    `NoPlaceForStore`; any other `StoreError` for one that fails, which must not stop the command.
    """
    folder = store_folder(options, environ)
    if folder is None:
        raise NoPlaceForStore
    try:
        return open_folder(folder, options.max_size)
    except StoreError as error:
        if options.dir is not None and _is_wrong_place(error):
            raise StoreRefused(str(error)) from None
        raise


def open_folder(folder: bytes, max_size: int | None = None) -> Store:
    """Open or make the store in a folder, for reading only if it may not be written; raise a `StoreError`."""
    try:
        return Store.open(folder, max_size=max_size)
    except StoreNotWritable as error:
        try:
            return Store.open(folder, read_only=True)
        except NoStore:
            raise error from None


def _is_wrong_place(error: StoreError) -> bool:
    from pytrace_cas.store import FolderInUse, NewerFormat, UnknownFormat

    return isinstance(error, StoreIsFile | FolderInUse | NetworkFileSystem | NewerFormat | UnknownFormat)

# SPDX-License-Identifier: Apache-2.0
"""Bytes of which nobody knows yet how many there will be: a digest needs the size, so they lie in a file first."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from pytrace_cas.store import OutOfSpace
from pytrace_cas.store.index import disk_failure
from pytrace_cas.store.layout import Layout

if TYPE_CHECKING:
    from pytrace_cas.services.backing import Store


class Spool:
    """A file without a name on the store's own disk, never larger than the store may be; a context manager."""

    def __init__(self, store: Store) -> None:
        self.size = 0
        self._root = store.path
        self._limit = store.size()[1]
        layout = Layout(store.path)
        layout.make_directories()  # somebody may have tidied up
        # Not where programs put such files by default: that may be memory, and is not what the limit is about.
        self._file = tempfile.TemporaryFile(dir=os.fsdecode(layout.tmp))  # noqa: SIM115 - closed when it is left

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Append bytes; raise `OutOfSpace`."""
        self.size += len(data)
        if self.size > self._limit:
            raise OutOfSpace(self._root, self.size, self._limit)
        try:
            self._file.write(data)
        except OSError as error:
            raise disk_failure(self._root, error) from error

    def finish(self) -> int:
        """Return the descriptor of all that was written; raise `OutOfSpace`."""
        try:
            self._file.flush()
        except OSError as error:
            raise disk_failure(self._root, error) from error
        return self._file.fileno()

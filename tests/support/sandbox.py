# SPDX-License-Identifier: Apache-2.0
"""Two copies of one small world that a command sees, one at a time, under the same absolute path."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from tests.support import tree

TWINS = ("plain", "cached")
PARTS = (b"work", b"home", b"tmp")


class Sandbox:
    """A folder with a store and two twin worlds; each world is `work` (the root), `home` and `tmp`.

    A twin takes its place by a rename, so that names, lengths and relative paths are the same for both and
    nothing is copied between runs. Not for use by two threads at once. Leaves nothing after `close`.
    """

    def __init__(self, prefix: str = "pytrace-sandbox-") -> None:
        # Not pytest's own temporary folder: tools treat that one as scratch.
        self.base = os.fsencode(os.path.realpath(tempfile.mkdtemp(prefix=prefix)))
        self.store = os.path.join(self.base, b"store")
        self.log = os.path.join(self.base, b"stats.jsonl")
        self.clear()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything, whatever modes a command left."""
        tree.remove(self.base)

    def clear(self) -> None:
        """Forget the store, its statistics and both worlds; leave two empty ones."""
        for name in os.listdir(self.base):
            tree.remove(os.path.join(self.base, name))
        for twin in TWINS:
            self.empty(twin)

    def empty(self, twin: str) -> None:
        """Make one world empty again."""
        tree.remove(self.twin(twin))
        for part in PARTS:
            os.makedirs(os.path.join(self.twin(twin), part))

    def twin(self, twin: str) -> bytes:
        """Where a world rests while no command sees it."""
        return os.path.join(self.base, b"twin-" + os.fsencode(twin))

    def keep(self) -> None:
        """Remember both worlds as they are."""
        for twin in TWINS:
            tree.remove(self._kept(twin))
            tree.copy(self.twin(twin), self._kept(twin))

    def restore(self) -> None:
        """Put both worlds back as they were kept, as new files with the old times."""
        for twin in TWINS:
            tree.remove(self.twin(twin))
            tree.copy(self._kept(twin), self.twin(twin))

    def _kept(self, twin: str) -> bytes:
        return os.path.join(self.base, b"kept-" + os.fsencode(twin))

    @contextmanager
    def placed(self, twin: str, place: str = "place") -> Iterator[bytes]:
        """Put a world where commands see it, as the folder `place`; yield that path."""
        there = os.path.join(self.base, os.fsencode(place))
        os.rename(self.twin(twin), there)
        try:
            yield there
        finally:
            os.rename(there, self.twin(twin))

    def take(self, twin: str) -> tree.Tree:
        """Take a world's tree, all three parts of it."""
        return tree.take(self.twin(twin))


def environment(place: bytes, extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Give the whole environment of a command in `place`: fixed, but for `extra` (None removes a name)."""
    values: dict[str, str | None] = {
        "HOME": os.fsdecode(os.path.join(place, b"home")),
        "TMPDIR": os.fsdecode(os.path.join(place, b"tmp")),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC0",
        **(extra or {}),
    }
    return {name: value for name, value in values.items() if value is not None}

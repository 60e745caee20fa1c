# SPDX-License-Identifier: Apache-2.0
"""Walking a Merkle tree of a cache in the order in which a person reads it, with bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from pytrace_cas.digest import Digest
from pytrace_exec.cli.exit_status import NOT_FOUND
from pytrace_exec.cli.main import Failed
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_exec.cli.blobs import Named

MOST_ENTRIES = 1_000_000
"""Entries of a tree that is told or downloaded: shared folders can make a small one endless."""
DEEPEST = 512


@attrs.frozen
class Entry:
    """One entry: names from the root down, its type (`file`, `directory`, `symlink`), and whether it is the last one
    of its folder, and so for each folder above it."""

    names: tuple[str, ...]
    type: str
    digest: Digest | None = None
    executable: bool = False
    target: str = ""
    last: tuple[bool, ...] = ()
    missing: bool = False

    @property
    def path(self) -> str:
        """All names, joined."""
        return "/".join(self.names)


def walk(found: Named, root: reapi.Directory) -> Iterator[Entry]:
    """Every entry below a directory, each folder before what it holds; raise `Failed` for one beyond the bounds."""
    stack = [_entries(found, root, (), ())]
    count = 0
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        count += 1
        if count > MOST_ENTRIES or len(stack) > DEEPEST:
            raise Failed(f"{found.digest} has more than {MOST_ENTRIES} entries or {DEEPEST} levels", NOT_FOUND)
        if entry.type != "directory":
            yield entry
            continue
        assert entry.digest is not None
        folder = _folder(found, entry.digest)
        yield attrs.evolve(entry, missing=folder is None)
        if folder is not None:
            stack.append(_entries(found, folder, entry.names, entry.last))


def _folder(found: Named, digest: Digest) -> reapi.Directory | None:
    try:
        return found.message(reapi.Directory, digest)
    except Failed as error:
        if error.status != NOT_FOUND:
            raise
        return None


def _entries(found: Named, folder: reapi.Directory, above: tuple[str, ...], last: tuple[bool, ...]) -> Iterator[Entry]:
    nodes: list[Entry] = [
        Entry((*above, node.name), "directory", Digest(node.digest.hash, node.digest.size_bytes))
        for node in folder.directories
    ]
    nodes += [
        Entry((*above, node.name), "file", Digest(node.digest.hash, node.digest.size_bytes), node.is_executable)
        for node in folder.files
    ]
    nodes += [Entry((*above, node.name), "symlink", target=node.target) for node in folder.symlinks]
    nodes.sort(key=lambda entry: entry.names[-1])
    for number, entry in enumerate(nodes, 1):
        yield attrs.evolve(entry, last=(*last, number == len(nodes)))

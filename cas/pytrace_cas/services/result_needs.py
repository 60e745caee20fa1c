# SPDX-License-Identifier: Apache-2.0
"""Every blob that an action result needs, those inside its directories too (WIRE 55).

A tree takes several times its size in memory, and the digests of its files stay there until the result is stored. So
all trees of a result together are bounded, and a process deals with one result at a time that has large ones.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytrace_cas import store as storage
from pytrace_cas.services import action_results, directory_tree
from pytrace_cas.services.digests import digest_of
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.services.limits import LARGE_TREES, LARGEST_TREE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.services.backing import Store
    from pytrace_proto import remote_execution_pb2 as reapi

# Waiting for longer than others wait for the store's lock would only hold threads that others need.
TURN_SECONDS = 30.0

_turn = threading.Lock()


@contextmanager
def needs_of(store: Store, result: reapi.ActionResult, function: DigestFunction) -> Iterator[dict[Digest, None]]:
    """Name them, in order, for as long as the context lasts.

    Raises `InvalidRequest` for trees that are none, `StoreBusy` when another result with large trees takes too long.
    What a tree that is not here would name cannot be named: the tree itself is, and is missing.
    """
    needs = _Needs(store, function)
    try:
        yield needs.of(result)
    finally:
        needs.close()


class _Needs:
    """What is found of one result; `close` lets the next one have its turn."""

    def __init__(self, store: Store, function: DigestFunction) -> None:
        self._store = store
        self._function = function
        self._seen: set[Digest] = set()
        self._bytes = 0
        self._has_turn = False

    def of(self, result: reapi.ActionResult) -> dict[Digest, None]:
        """Look at everything that the result names."""
        found = dict.fromkeys(action_results.direct_needs(result, self._function))
        for directory in result.output_directories:
            try:
                found.update((digest, None) for digest in self._inside(directory))
            except storage.BlobNotFound as error:
                found[error.digest] = None
        return found

    def close(self) -> None:
        """End what was begun with the first large tree."""
        if self._has_turn:
            _turn.release()

    def _inside(self, directory: reapi.OutputDirectory) -> Iterator[Digest]:
        tree: reapi.Tree | None = None
        if directory.HasField("tree_digest"):
            digest = digest_of(directory.tree_digest, self._function)
            self._count(digest)
            tree = action_results.parse_tree(self._store.get(self._function, digest))
            for inside in (tree.root, *tree.children):
                yield from action_results.file_needs(inside, self._function)
        if directory.HasField("root_directory_digest"):
            root = digest_of(directory.root_directory_digest, self._function)
            for digest, found in directory_tree.walk(self._store, self._function, root):
                yield digest
                if found:
                    self._count(digest)
                    yield from action_results.file_needs(found, self._function)
                if tree and found and digest == root and found != tree.root:
                    raise InvalidRequest("output_directories", f"the tree's root is not {root}")

    def _count(self, digest: Digest) -> None:
        """Add a tree or a directory to what was read, once."""
        if digest in self._seen:
            return
        self._seen.add(digest)
        self._bytes += digest.size_bytes
        if self._bytes > LARGEST_TREE:
            raise InvalidRequest("output_directories", f"their trees are larger than {LARGEST_TREE} bytes together")
        if self._bytes > LARGE_TREES and not self._has_turn:
            if not _turn.acquire(timeout=TURN_SECONDS):
                raise storage.StoreBusy(self._store.path)
            self._has_turn = True

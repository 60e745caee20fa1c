# SPDX-License-Identifier: Apache-2.0
"""Every blob that an action result needs, those inside its directories too (WIRE 55)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas import store as storage
from pytrace_cas.services import action_results, directory_tree
from pytrace_cas.services.digests import digest_of
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.services.limits import LARGEST_TREE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.services.backing import Store
    from pytrace_proto import remote_execution_pb2 as reapi


def needs_of(store: Store, result: reapi.ActionResult, function: DigestFunction) -> Iterator[Digest]:
    """Name them, some of them more than once; raise `InvalidRequest` for trees and directories that are none.

    What a tree that is not here would name cannot be named: the tree itself is, and is missing.
    """
    yield from action_results.direct_needs(result, function)
    for directory in result.output_directories:
        try:
            yield from _directory_needs(store, directory, function)
        except storage.BlobNotFound as error:
            yield error.digest


def _directory_needs(store: Store, directory: reapi.OutputDirectory, function: DigestFunction) -> Iterator[Digest]:
    tree: reapi.Tree | None = None
    if directory.HasField("tree_digest"):
        digest = digest_of(directory.tree_digest, function)
        if digest.size_bytes > LARGEST_TREE:
            raise InvalidRequest("tree_digest", f"blob {digest} is larger than any Tree ({LARGEST_TREE} bytes)")
        tree = action_results.parse_tree(store.get(function, digest))
        for inside in (tree.root, *tree.children):
            yield from action_results.file_needs(inside, function)
    if directory.HasField("root_directory_digest"):
        root = digest_of(directory.root_directory_digest, function)
        for digest, found in directory_tree.walk(store, function, root):
            yield digest
            if tree and found and digest == root and found != tree.root:
                raise InvalidRequest("output_directories", f"the tree's root is not {root}")
            yield from action_results.file_needs(found, function) if found else ()

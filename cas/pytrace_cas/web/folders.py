# SPDX-License-Identifier: Apache-2.0
"""Directories of Merkle trees, and outputs that are one `Tree` message, a level at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytrace_cas.digest import Digest
from pytrace_cas.services.errors import FileNotHere
from pytrace_cas.web.messages import read_message
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.services.backing import Store
    from pytrace_cas.web.addresses import BlobAddress


def describe_directory(store: Store, address: BlobAddress) -> dict[str, Any]:
    """Tell a directory; raise `BlobNotFound`, `InvalidRequest`."""
    return _described(read_message(store, address, reapi.Directory))


def describe_tree(store: Store, address: BlobAddress, path: str) -> dict[str, Any]:
    """Tell a directory of a `Tree`, below its root by a path; raise `FileNotHere` if there is none."""
    tree = read_message(store, address, reapi.Tree)
    directory = tree.root
    if path:
        below = {address.function.of(child.SerializeToString()): child for child in tree.children}
    for name in filter(None, path.split("/")):
        node = next((node for node in directory.directories if node.name == name), None)
        child = below.get(Digest(node.digest.hash, node.digest.size_bytes)) if node else None
        if child is None:
            raise FileNotHere(path)
        directory = child
    return _described(directory)


def _described(directory: reapi.Directory) -> dict[str, Any]:
    return {
        "directories": [{"name": node.name, "digest": _digest(node.digest)} for node in directory.directories],
        "files": [
            {"name": node.name, "digest": _digest(node.digest), "executable": node.is_executable}
            for node in directory.files
        ],
        "symlinks": [{"name": node.name, "target": node.target} for node in directory.symlinks],
    }


def _digest(digest: reapi.Digest) -> str:
    return f"{digest.hash}/{digest.size_bytes}"

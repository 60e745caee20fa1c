# SPDX-License-Identifier: Apache-2.0
"""Walking a Merkle tree of `Directory` blobs: breadth first, each digest once, in an order that repeats."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from pytrace_cas import store as storage
from pytrace_cas.services.digests import digest_of
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.services.limits import BATCH, LARGEST_DIRECTORY
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.services.backing import Store


def walk(store: Store, function: DigestFunction, root: Digest) -> Iterator[tuple[Digest, reapi.Directory | None]]:
    """Give each directory from the root down, None for one that is not here.

    A directory that is reached by many ways comes once, so shared subtrees cost what they hold, and depth costs
    no stack. Raises `InvalidRequest` for a blob that is no `Directory`.
    """
    seen = {root}
    queue = deque(seen)
    while queue:
        digest = queue.popleft()
        directory = _read(store, function, digest)
        yield digest, directory
        for node in directory.directories if directory else ():
            child = digest_of(node.digest, function, "directories.digest")
            if child not in seen:
                seen.add(child)
                queue.append(child)


def pages(
    store: Store, function: DigestFunction, root: Digest, page_size: int, page_token: str
) -> Iterator[reapi.GetTreeResponse]:
    """Give the tree in messages of at most `page_size` directories (0: as many as a message may hold).

    A token says how many directories of the walk came before it; a made-up one raises `InvalidRequest`. It is
    good for as long as the tree's blobs are here, in any process over the store.
    """
    position = _position(root, page_token)
    response, room = reapi.GetTreeResponse(), BATCH
    for index, (_, directory) in enumerate(walk(store, function, root)):
        if directory is None or index < position:
            continue
        size = directory.ByteSize()
        full = len(response.directories) == page_size if page_size else False
        if response.directories and (full or size > room):
            response.next_page_token = _token(root, index)
            yield response
            response, room = reapi.GetTreeResponse(), BATCH
        response.directories.append(directory)
        room -= size
    yield response


def _token(root: Digest, index: int) -> str:
    seal = hashlib.sha256(f"{root} {index}".encode()).hexdigest()
    return f"{index}-{seal[:16]}"


def _position(root: Digest, token: str) -> int:
    if not token:
        return 0
    index = token.partition("-")[0]
    if not (index.isascii() and index.isdigit() and len(index) < 20) or token != _token(root, int(index)):
        raise InvalidRequest("page_token", f"{token!r} was not given out for this tree")
    return int(index)


def _read(store: Store, function: DigestFunction, digest: Digest) -> reapi.Directory | None:
    if digest.size_bytes > LARGEST_DIRECTORY:
        raise InvalidRequest("digest", f"blob {digest} is larger than any Directory ({LARGEST_DIRECTORY} bytes)")
    try:
        return reapi.Directory.FromString(store.get(function, digest))
    except storage.BlobNotFound:
        return None
    except DecodeError:
        raise InvalidRequest("digest", f"blob {digest} is no Directory") from None

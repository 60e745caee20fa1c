# SPDX-License-Identifier: Apache-2.0
"""GetTree."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from pytrace_cas.conform.checks.digests import INVALID
from pytrace_cas.conform.registry import NotOffered, expect, rule
from pytrace_cas.conform.wire import CallFailed, Code
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.conform.cache import Blob, Cache

LARGEST_MESSAGE = 4 << 20
DEPTH = 10_000
LEVELS = 40


def _directory(cache: Cache, children: dict[str, Blob]) -> Blob:
    """A directory that nobody has, with these below it."""
    nodes = [reapi.DirectoryNode(name=name, digest=child.digest) for name, child in sorted(children.items())]
    link = reapi.SymlinkNode(name=uuid.uuid4().hex, target="t")
    return cache.blob(reapi.Directory(directories=nodes, symlinks=[link]))


def _ask(cache: Cache, root: Blob, size: int = 0, token: str = "") -> reapi.GetTreeRequest:
    return reapi.GetTreeRequest(**cache.about(), root_digest=root.digest, page_size=size, page_token=token)


def _pages(cache: Cache, root: Blob, size: int = 0, token: str = "") -> list[reapi.GetTreeResponse]:
    try:
        return cache.wire.stream("GetTree", _ask(cache, root, size, token))
    except CallFailed as error:
        if error.code is Code.UNIMPLEMENTED:
            raise NotOffered("GetTree is UNIMPLEMENTED") from None
        raise


def _directories(pages: list[reapi.GetTreeResponse]) -> list[bytes]:
    return [directory.SerializeToString() for page in pages for directory in page.directories]


@rule("47")
def missing_ones(cache: Cache) -> str:
    """Ask for a root that is missing, one with a missing child, and one that is no directory."""
    leaf, gone = _directory(cache, {}), _directory(cache, {})
    root = _directory(cache, {"leaf": leaf, "gone": gone})
    cache.put_all([leaf, root])
    found = _directories(_pages(cache, root))
    expect(set(found) == {root.data, leaf.data}, f"{len(found)} directories", "the two that are there, and no error")
    cache.refused((Code.NOT_FOUND,), "a missing root", "GetTree", _ask(cache, gone))
    other = cache.put(cache.blob(b"\xff" * 50))
    codes = (*INVALID, Code.FAILED_PRECONDITION, Code.NOT_FOUND)
    code = cache.refused(codes, "a root that is no directory", "GetTree", _ask(cache, other))
    return f"NOT_FOUND for a missing root, missing directories left out, {code} for a root that is none"


@rule("48")
def pages(cache: Cache) -> str:
    """Follow the pages of a small tree."""
    leaves = [_directory(cache, {}) for _ in range(7)]
    root = _directory(cache, {f"leaf{number}": leaf for number, leaf in enumerate(leaves)})
    cache.put_all([*leaves, root])
    whole = _pages(cache, root, 3)
    largest = max(len(page.directories) for page in whole)
    expect(largest <= 3, f"{largest} directories in a response with page_size 3", "at most 3")
    expect(not whole[-1].next_page_token, "a token in the last response", "none")
    order = _directories(whole)
    expect(set(order) == {blob.data for blob in (*leaves, root)}, f"{len(order)} directories", "all 8")
    tokens = [page.next_page_token for page in whole if page.next_page_token]
    for count, token in enumerate(tokens, 1):
        before = sum(len(page.directories) for page in whole[:count])
        expect(_directories(_pages(cache, root, 3, token)) == order[before:], "other pages after a token", "the rest")
    made_up = _ask(cache, root, 3, "made-up")
    cache.refused(INVALID, "a made-up token", "GetTree", made_up)
    resumed = f"{len(tokens)} tokens resume where they stood" if tokens else "one response, no tokens"
    return f"{len(whole)} responses; {resumed}; a made-up one is INVALID_ARGUMENT"


@rule("49")
def large_trees(cache: Cache) -> str:
    """Ask for a tree with 2^40 ways to its leaf, and for one 10,000 deep."""
    shared = [_directory(cache, {})]
    for _ in range(LEVELS):
        shared.append(_directory(cache, {"a": shared[-1], "b": shared[-1]}))
    cache.put_all(shared)
    found = _directories(_pages(cache, shared[-1]))
    expect(set(found) == {blob.data for blob in shared}, f"{len(set(found))} of {len(shared)} directories", "all")
    expect(len(found) <= 2 * len(shared), f"{len(found)} directories where {len(shared)} are shared", "each once")
    deep = [_directory(cache, {})]
    for _ in range(DEPTH - 1):
        deep.append(_directory(cache, {"d": deep[-1]}))
    cache.put_all(deep)
    answers = _pages(cache, deep[-1])
    expect(len(_directories(answers)) == DEPTH, f"{len(_directories(answers))} directories", str(DEPTH))
    largest = max(answer.ByteSize() for answer in answers)
    expect(largest < LARGEST_MESSAGE, f"a response of {largest} bytes", "less than 4 MiB")
    return f"{len(found)} directories for {len(shared)} that are shared; {DEPTH} levels in {len(answers)} responses"

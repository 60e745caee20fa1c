# SPDX-License-Identifier: Apache-2.0
"""An earlier content of a file that git tracks, from the objects of its repository; nothing is fetched or changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pygit2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import Digest, DigestFunction

MAX_COMMITS = 50
"""Commits of the history that are looked at, from HEAD backwards."""


def content_in_git(path: bytes, digest: Digest, function: DigestFunction) -> bytes | None:
    """The content of a digest if the index or one of the last commits has it at this path."""
    try:
        repository = pygit2.Repository(pygit2.discover_repository(os.fsdecode(os.path.dirname(path))) or "")
        if repository.is_bare:
            return None
        name = os.path.relpath(os.fsdecode(path), repository.workdir)
        for id in dict.fromkeys(_versions(repository, name)):
            blob = repository.get(id)
            if isinstance(blob, pygit2.Blob) and blob.size == digest.size_bytes and function.of(blob.data) == digest:
                return bytes(blob.data)
    except (pygit2.GitError, KeyError, ValueError, OSError):
        return None
    return None


def _versions(repository: pygit2.Repository, name: str) -> Iterator[pygit2.Oid]:
    """Ids of what stood at a path: in the index, then in each commit."""
    repository.index.read()
    if name in repository.index:
        yield repository.index[name].id
    if repository.head_is_unborn:
        return
    for number, commit in enumerate(repository.walk(repository.head.target)):
        if number >= MAX_COMMITS:
            return
        if name in commit.tree:
            yield commit.tree[name].id

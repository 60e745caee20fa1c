# SPDX-License-Identifier: Apache-2.0
"""Bringing an action of any REAPI client here: its messages and its result, not its outputs."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pytrace_cas.reapi import Action, Directory, MalformedMessage
from pytrace_cas.recorded.effects import EFFECTS_PATH
from pytrace_cas.store import StoreError
from pytrace_exec.cache.errors import BlobMissing

if TYPE_CHECKING:
    from pytrace_cas.digest import Digest
    from pytrace_exec.cache.local import LocalCache

MOST_DIRECTORIES = 5000


def bring(cache: LocalCache, digest: Digest) -> bool:
    """Have the messages of an action, its input root and its result in the store at hand; False if it is not there."""
    try:
        action = Action.decode(cache.get(digest))
    except (BlobMissing, MalformedMessage):
        return False
    if action.command_digest is not None:
        _try(cache, action.command_digest)
    if action.input_root_digest is not None:
        _tree(cache, action.input_root_digest)
    result = cache.get_result(digest)
    if result is not None:
        named = [file.digest for file in result.output_files if file.path == EFFECTS_PATH and file.digest is not None]
        for effects in named:
            _try(cache, effects)
        store = cache.at_hand.store
        try:
            store.put_action_result(cache.function, cache.instance, digest, result.encode(), [])
        except StoreError:
            return True
    return True


def _tree(cache: LocalCache, root: Digest) -> None:
    queue, seen = deque([root]), {root}
    while queue and len(seen) < MOST_DIRECTORIES:
        data = _try(cache, queue.popleft())
        try:
            directory = Directory.decode(data or b"")
        except MalformedMessage:
            continue
        for file in directory.files:
            if file.name == "facts" and file.digest is not None:
                _try(cache, file.digest)
        below = [folder.digest for folder in directory.directories if folder.digest is not None]
        queue += [folder for folder in below if folder not in seen]
        seen.update(below)


def _try(cache: LocalCache, digest: Digest) -> bytes | None:
    try:
        return cache.get(digest)
    except BlobMissing:
        return None

# SPDX-License-Identifier: Apache-2.0
"""Whether anything changed that traced actions of a workspace read beside their declared inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from pytrace_cas.digest import function_named
from pytrace_exec.bazel.beside import fresh
from pytrace_exec.observe.digest_cache import DigestCache
from pytrace_exec.observe.facts import value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_exec.bazel.note import Note, Noted


@attrs.frozen
class Change:
    """A fact that is another one now: what kind, where, who read it, what it was and is."""

    kind: str
    path: bytes
    action: str
    before: bytes
    now: bytes


@attrs.frozen
class Status:
    """The digest of a workspace; `facts`: how many were looked at; `volatile`: an action that is always asked."""

    digest: str
    facts: int
    changes: tuple[Change, ...]
    volatile: str | None


def validate(note: Note, digests: bytes) -> Status:
    """Look at every noted fact once; a change begins a new digest. `digests`: file of the digest cache.

    Raises `NoteFailed`.
    """
    digest, volatile, facts = note.read()
    changes = tuple(_changes(facts, digests))
    if changes or volatile:
        digest = note.renew()
    return Status(digest, len(facts), changes, volatile)


def _changes(facts: list[Noted], digests: bytes) -> Iterator[Change]:
    worlds = {}
    caches = []
    for noted in facts:
        if noted.function not in worlds:
            function = function_named(noted.function)
            caches.append(DigestCache(digests, function))
            worlds[noted.function] = fresh(function, caches[-1])
        now = value_of(noted.subject, *worlds[noted.function])
        if now != noted.value:
            path = noted.subject.paths[0] if noted.subject.paths else b""
            yield Change(noted.subject.kind, path, noted.action, noted.value, now)
    for cache in caches:
        cache.save()

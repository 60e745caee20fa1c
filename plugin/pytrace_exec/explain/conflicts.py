# SPDX-License-Identifier: Apache-2.0
"""Two commands that claim one output: what stands where a result's own output was is what another command made."""

from __future__ import annotations

import os
import shlex

from pytrace_cas.digest import Digest, MalformedDigest
from pytrace_cas.explained.reasons import reason
from pytrace_cas.recorded.keys import MalformedKey, read_command
from pytrace_cas.recorded.names import name_of
from pytrace_cas.recorded.places import MalformedText
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.explain.candidates import effects_of, stored_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_exec.explain.nearest import Nearest
    from pytrace_exec.lookup import LookUp

_ASKED = 16
"""Results with the same content that are looked at for who made it there."""


def conflicts(look_up: LookUp, found: Nearest) -> Iterator[dict[str, object]]:
    """A reason for each path that the result made and another command's result has made since as it is now."""
    paths = {subject.paths[0] for subject, *_ in found.comparison.differing if len(subject.paths) == 1}
    for path in sorted(paths & found.produced):
        other = _maker(look_up, found, path)
        if other is not None:
            action, command = other
            shown = look_up.invocation.places.readable(path)
            said = f"{shlex.join(command)} made it as it is now"
            told = reason("output_conflict", path, str(found.key.digest), str(action), shown=shown, said=said)
            yield {**told, "command": command}


def _maker(look_up: LookUp, found: Nearest, path: bytes) -> tuple[Digest, list[str]] | None:
    """The result of another command that made a path as it is now, and that command."""
    cache, places = stored_in(look_up), look_up.invocation.places
    try:
        digest = Digest.parse(look_up.view.digest(path))
        name = name_of(places, path)
    except (MalformedDigest, ValueError):
        return None
    for row in cache.store.results_needing(cache.function, cache.instance, digest, _ASKED):
        effects = effects_of(cache, row.digest)
        if effects is None or not any(file.path == name and file.digest == digest for file in effects.files()):
            continue
        try:
            _, command = read_command(cache.get, row.digest)
            if command.arguments != found.key.command.arguments:
                return row.digest, [os.fsdecode(places.restore(word.encode())) for word in command.arguments]
        except (BlobMissing, MalformedKey, MalformedText):
            continue
    return None

# SPDX-License-Identifier: Apache-2.0
"""A shell script that runs the command of a stored result again: where it ran, or over its downloaded inputs."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from pytrace_cas.digest import Digest
from pytrace_cas.recorded.effect_entries import Move
from pytrace_cas.recorded.keys import properties, read_key, variables
from pytrace_cas.recorded.names import outside
from pytrace_cas.recorded.places import MalformedText, Places, unescape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeAlias

    from pytrace_cas.recorded.subjects import Subject
    from pytrace_exec.cli.stored import StoredRun
    from pytrace_exec.options import Options

    Facts: TypeAlias = Mapping[Subject, bytes]

_HASHED = b"sha256:"
# Places under names that no path has; in the script they become variables.
_VARIABLES = {b"/\x01root": "root", b"/\x01home": "home", b"/\x01tmp": "tmp"}
_PLACES = Places(b"/\x01root", b"/\x01home", b"/\x01tmp")


def download_words(options: Options) -> str:
    """How the inputs of an action are downloaded with these options, but for the action and the folder."""
    words = ["pytrace", "download", "--inputs"]
    for name in ("dir", "remote", "instance_name", "digest_function"):
        value = getattr(options, name)
        if value and options.sources.get(name, "").startswith("--"):
            words += [f"--{name.replace('_', '-')}", os.fsdecode(value)]
    return shlex.join(words)


def script_of(run: StoredRun, places: Places, download: str) -> str:
    """The script; `places` are those that it takes without an argument."""
    return "".join(f"{line}\n" for line in _lines(run, places, download))


def _lines(run: StoredRun, places: Places, download: str) -> Iterator[str]:
    told = properties(run.key.command)
    facts = read_key(run.cache.get, run.digest, _PLACES).values
    lacking = _lacking(run, facts)
    yield "#!/bin/sh"
    yield f"# action {run.digest}"
    yield "# Runs its command again: without argument where it ran, with TREE over inputs that were downloaded there:"
    yield f"#   {download} {run.digest} TREE && sh THIS TREE"
    if lacking:
        yield f"# {lacking} of its inputs are not in the cache: for TREE, run it with pytrace-exec --upload-inputs"
    words, hidden = [], []
    for name, value in variables(run.key.command).items():
        exact = places.restore(value.encode())
        if exact.startswith(_HASHED):
            hidden.append(name)
        else:
            words.append(f"{shlex.quote(name)}={_word(value.encode())}")
    for name in hidden:
        yield f"# {name} is stored as a hash only: set it yourself"
    yield from _beginning(places)
    yield "if [ $# -gt 0 ]; then"
    yield from (f"    {line}" for line in _prepared(run, facts, lacking))
    yield "fi"
    folder = _word(told.get("working-directory", "%R").encode())
    yield f"cd {folder} || {{ echo 'its folder is not here: download its inputs, and name their folder' >&2; exit 1; }}"
    yield f"umask {told.get('umask', '0022')}"
    yield " ".join(["exec env", *words, *(_word(word.encode()) for word in run.key.command.arguments)])


def _beginning(places: Places) -> Iterator[str]:
    """What the variables of the places are."""
    for name in ("root", "home", "tmp"):
        place = getattr(places, name)
        yield f"{name}={shlex.quote(os.fsdecode(place))}"


def _prepared(run: StoredRun, facts: Facts, lacking: int) -> Iterator[str]:
    """Bring downloaded inputs into the state in which they were read."""
    if lacking:
        yield f"echo '{lacking} of its inputs were not uploaded: run it again with pytrace-exec --upload-inputs' >&2"
        yield "exit 1"
        return
    yield 'tree=$(CDPATH= cd -- "$1" && pwd -P) || exit'
    yield 'mkdir -p "$tree/root" || exit'
    yield "root=$tree/root"
    for name in ("home", "tmp"):
        yield f'if [ -d "$tree/{name}" ]; then {name}=$tree/{name}; fi'
    folder = properties(run.key.command).get("working-directory", "%R")
    folders = {_word(b"%R"), _word(folder.encode()), *_folders(run, facts)}
    yield f"mkdir -p {' '.join(sorted(folders))} || exit"
    for path, mode in sorted(_modes(facts).items()):
        yield f"chmod {mode} {path} || exit"
    for path, target in sorted(_links(facts).items()):
        yield f"[ -e {path} ] || ln -s {target} {path} || exit"


def _below_root(subject: Subject) -> str | None:
    """A path under the root as a word; None for any other subject."""
    if len(subject.paths) != 1:
        return None
    encoded = _PLACES.encode_path(subject.paths[0])
    return _word(encoded) if encoded.startswith(b"%R/") else None


def _folders(run: StoredRun, facts: Facts) -> Iterator[str]:
    """Folders that were there, and those that outputs lie in."""
    for subject, value in facts.items():
        word = _below_root(subject)
        if word is not None and value.split(b" ")[0] == b"dir":
            yield word
    for entry in run.effects.entries:
        name = entry.to if isinstance(entry, Move) else entry.path
        if not outside(name) and b"/" in name:
            yield _word(b"%R/" + name.rpartition(b"/")[0])


def _modes(facts: Facts) -> dict[str, str]:
    """The modes of files that were read: the cache's tree has none."""
    found: dict[str, str] = {}
    for subject, value in facts.items():
        word = _below_root(subject)
        parts = value.split(b" ")
        if word is not None and subject.kind == "access" and subject.arg == str(os.X_OK) and b"granted" in parts:
            found.setdefault(word, "+x")
    for subject, value in facts.items():
        word, parts = _below_root(subject), value.split(b" ")
        if word is not None and subject.kind == "status" and parts[0] == b"file" and len(parts) > 2:
            found[word] = parts[1].decode()
    content = _content(facts)
    return {word: mode for word, mode in found.items() if word in content}


def _content(facts: Facts) -> set[str]:
    """The files below the root that are in the tree, as words."""
    words = (_below_root(subject) for subject, value in facts.items() if _is_digest(subject, value))
    return {word for word in words if word is not None}


def _links(facts: Facts) -> dict[str, str]:
    """Symbolic links below the root, and what they lead to."""
    found = {}
    for subject, value in facts.items():
        word = _below_root(subject)
        if word is not None and subject.kind == "link" and value.startswith(b"-> "):
            found[word] = shlex.quote(os.fsdecode(value[3:]))
    return found


def _is_digest(subject: Subject, value: bytes) -> bool:
    return subject.kind == "content" and not subject.arg and b"/" in value


def _lacking(run: StoredRun, facts: Facts) -> int:
    """How many of the files that were read below places are not in the cache."""
    wanted: dict[Digest, None] = {}
    for subject, value in facts.items():
        if _is_digest(subject, value) and _PLACES.encode_path(subject.paths[0]).startswith(b"%"):
            wanted[Digest.parse(value.decode())] = None
    run.cache.tiers[-1].fetch(wanted)
    return len(run.cache.at_hand.missing(wanted))


def _word(text: bytes) -> str:
    """A stored text as a word of the shell, its places as variables."""
    try:
        exact = _PLACES.restore(text)
    except MalformedText:
        exact = unescape(text)
    word = shlex.quote(os.fsdecode(exact))
    for place, name in _VARIABLES.items():
        word = word.replace(place.decode(), f"'\"${name}\"'")
    if word == "''":
        return word
    return word.removeprefix("''").removesuffix("''")

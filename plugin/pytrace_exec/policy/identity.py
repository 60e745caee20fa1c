# SPDX-License-Identifier: Apache-2.0
"""Who and where a result belongs to (DESIGN 6): root, HOME, TMPDIR, user and groups as literal facts, unless relaxed.

They are left out when every program that was executed is known to be neutral, or when the user vouches for it. Then
leaks are searched for: what is found in an output or an input, or could hide in a compressed one, stays a fact.
"""

from __future__ import annotations

import os
import pwd
import re

from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe.surroundings import IDENTITY, TREES
from pytrace_exec.observe.world import under
from pytrace_exec.policy import environment, programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytrace_cas.recorded.places import Places
    from pytrace_exec.observe.run import Run

COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"\x04\x22\x4d\x18", b"7z\xbc\xaf")
"""How compressed files begin: gzip, bzip2, xz, zstd, zip, lz4, 7z."""

COMPRESSED_INSIDE = (b".zdebug_", b"SHF_COMPRESSED")
"""What shows that a part of an object file is compressed."""

_KEPT_WITH_ROOT = ("root", "pwd")
_WHO = ("uid", "gid", "groups")


def relax(run: Run, places: Places, environ: Mapping[bytes, bytes], texts: Iterable[bytes], vouched: bool) -> None:
    """Drop the identity facts that nothing of the result can depend on.

    `texts`: standard output and error, the bytes, names and link targets of outputs, and inputs under the root.
    """
    if not (vouched or _all_neutral(run)) or run.relative_outside:
        return
    texts = list(texts)
    kept = _leaks(places, environ, texts)
    if not vouched:
        kept |= _told(run, places, environ)
    if kept & set(_KEPT_WITH_ROOT):
        kept.update(_KEPT_WITH_ROOT)
    for name in (*IDENTITY, TREES):
        if name not in kept:
            run.subjects.pop(Subject("identity", name), None)
    if "host" in kept:
        run.subjects.setdefault(Subject("fact", "uname"), None)
    for variable in environment.values_in(environ, texts):
        run.subjects.setdefault(Subject("variable", os.fsdecode(variable)), None)
    if "root" not in kept:
        _drop_ancestors(run, places)
        if TREES not in kept:
            _drop_layout(run)


def _drop_layout(run: Run) -> None:
    """Drop what compilers saw of how a build tool lays inputs out: which folder is a link from one tree to the next.

    They resolve names of sources to tell files apart; where that leads is not in the result, or it was found there.
    """
    trees = run.setting.trees()
    for subject in [subject for subject in run.subjects if subject.kind == "link"]:
        path = subject.paths[0]
        lookers = run.lookers.get(path)
        if lookers and all(map(programs.is_neutral, lookers)) and len(trees) > 1 and _laid_out(path, trees):
            del run.subjects[subject]


def _laid_out(path: bytes, trees: tuple[bytes, ...]) -> bool:
    """Whether a path in a tree is no link, or one to the same path in another of the trees."""
    tree = next((tree for tree in trees if under(path, tree)), None)
    if tree is None:
        return False
    try:
        target = os.readlink(path)
    except OSError:
        return True
    return any(target == other + path[len(tree) :] for other in trees)


def _all_neutral(run: Run) -> bool:
    ran = [program for program in run.processes.programs if program.path]
    return bool(ran) and all(programs.is_neutral(program) for program in ran)


def _told(run: Run, places: Places, environ: Mapping[bytes, bytes]) -> set[str]:
    """Names of the identity facts that a program was given as an argument: it may compute with them (`basename`).

    Of TMPDIR only what the command itself was given: compilers name their scratch to the programs that they run.
    """
    given = [program.argv for program in run.processes.programs if program.path]
    words = [word for argv in given for word in argv]
    literals = _literals(places, environ)
    told = {name for name in ("root", "home", "pwd", TREES) if _any_in(literals[name], words)}
    told |= {"tmp"} if _any_in(literals["tmp"], given[0]) else set()
    return told


def _leaks(places: Places, environ: Mapping[bytes, bytes], texts: list[bytes]) -> set[str]:
    """Names of the identity facts whose literal value was found, or may hide."""
    found: set[str] = set()
    if any(text.startswith(COMPRESSED) or any(mark in text for mark in COMPRESSED_INSIDE) for text in texts):
        return {*IDENTITY, TREES, "host"}
    literals = _literals(places, environ)
    found.update(name for name, values in literals.items() if _any_in(values, texts))
    for name, values in literals.items():
        if _any_in(_from_the_root(values, places.root), texts):
            found.update((name, "root"))
    if _word_in(_user_name(), texts):
        found.update(_WHO)
    if _word_in(os.fsencode(os.uname().nodename), texts):
        found.add("host")
    return found


def _literals(places: Places, environ: Mapping[bytes, bytes]) -> dict[str, list[bytes]]:
    """By the name of its fact, how each place may be spelled."""
    values: dict[str, set[bytes | None]] = {
        "root": {places.root},
        "home": {places.home, environ.get(b"HOME")},
        "tmp": {places.tmp, environ.get(b"TMPDIR")},
        "pwd": {environ.get(b"PWD"), places.root},
        TREES: {tree for _, tree in places.trees},
    }
    return {name: [one for one in ones if one and one != b"/"] for name, ones in values.items()}


def _from_the_root(paths: list[bytes], root: bytes) -> list[bytes]:
    """How programs that compute relative paths spell absolute ones, but those above the root and below it."""
    spelled = (os.path.relpath(path, root) for path in paths if path.startswith(b"/"))
    return [path for path in spelled if path.startswith(b"../") and path.strip(b"./")]


def _any_in(values: Iterable[bytes], texts: Iterable[bytes]) -> bool:
    return any(value in text for text in texts for value in values)


def _user_name() -> bytes:
    try:
        return os.fsencode(pwd.getpwuid(os.geteuid()).pw_name)
    except KeyError:
        return b""


def _word_in(word: bytes, texts: list[bytes]) -> bool:
    if not word:
        return False
    pattern = re.compile(rb"(?<![A-Za-z0-9_])" + re.escape(word) + rb"(?![A-Za-z0-9_])")
    return any(pattern.search(text) for text in texts)


def _drop_ancestors(run: Run, places: Places) -> None:
    """The folders above the root are where the root happens to lie; looking at them says nothing more."""
    trees = (tree for _, tree in places.trees)
    above = {place for place in (places.root, places.home, places.tmp, *trees) if place}
    for subject in list(run.subjects):
        if subject.kind in ("status", "error", "change", "access", "link") and len(subject.paths) == 1:
            path = subject.paths[0]
            if any(path != place and under(place, path) for place in above):
                del run.subjects[subject]

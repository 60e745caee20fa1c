# SPDX-License-Identifier: Apache-2.0
"""Random trees and random effects: a replay gives what a model says, or leaves the tree as it was."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pytrace_cas.recorded.effect_entries import (
    ABSENT,
    DIRECTORY,
    PLAIN,
    Dir,
    File,
    LinkTo,
    Move,
    Remove,
    State,
    Symlink,
)
from pytrace_cas.recorded.effects import InvalidEffects
from pytrace_exec.replay.apply import ReplayRefused
from tests.exec.replay.scene import Failing, Scene

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.recorded.effect_entries import Entry

PATHS = [*(b"abcd"[i : i + 1] for i in range(4)), *(a + b"/" + b for a in (b"a", b"b") for b in (b"x", b"y")), b"a/x/z"]
Tree = dict[bytes, tuple[str, bytes]]  # type and content or target

trees = st.dictionaries(st.sampled_from(PATHS), st.sampled_from(["file", "dir", "symlink"]), max_size=8)
choices = st.lists(
    st.tuples(
        st.sampled_from(["file", "dir", "symlink", "remove", "remove", "move", "move", "linkto"]),
        st.sampled_from(PATHS),
        st.sampled_from(PATHS),
    ),
    min_size=1,
    max_size=6,
)


def parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def grow(scene: Scene, kinds: dict[bytes, str]) -> Tree:
    """Make a tree, leaving out what has no directory to lie in."""
    tree: Tree = {}
    for path, kind in sorted(kinds.items()):
        if parent(path) and tree.get(parent(path), ("", b""))[0] != "dir":
            continue
        place = scene.root / path.decode()
        if kind == "file":
            place.write_bytes(b"old " + path)
        elif kind == "dir":
            place.mkdir()
        else:
            place.symlink_to("old-" + path.decode())
        tree[path] = kind, {"file": b"old " + path, "dir": b"", "symlink": b"old-" + path}[kind]
    return tree


def entry_of(scene: Scene, kind: str, path: bytes, other: bytes, tree: Tree) -> Entry | None:
    if kind == "file":
        return scene.file(path, b"new " + path)
    if kind == "dir":
        return Dir(path, 0o755)
    if kind == "symlink":
        return Symlink(path, b"new-" + path)
    if path not in tree or (path == other and kind != "remove"):
        return None
    if kind == "remove":
        return Remove(path, tree[path][0])
    return Move(path, other) if kind == "move" else LinkTo(other, path)


def target_of(entry: Entry, tree: Tree) -> tuple[bytes, State] | None:
    """The made name of an entry and the state it has in the tree."""
    if isinstance(entry, Remove):
        return None
    name = entry.to if isinstance(entry, Move) else entry.path
    kind, value = tree.get(name, ("absent", b""))
    states = {"absent": ABSENT, "file": State.file(0o644), "dir": DIRECTORY}
    if kind == "absent" and isinstance(entry, File):
        return name, PLAIN
    return name, State.symlink(value) if kind == "symlink" else states[kind]


def expected(tree: Tree, entries: list[Entry]) -> Tree:
    """The tree after the effects, worked out over names alone."""
    moves = {entry.path: entry.to for entry in entries if isinstance(entry, Move)}
    removed = {entry.path for entry in entries if isinstance(entry, Remove)}

    def final(path: bytes) -> bytes | None:
        if path in removed:
            return None
        if path in moves:
            return moves[path]
        above = final(parent(path)) if parent(path) else b""
        return None if above is None else (above + b"/" if above else b"") + path.rpartition(b"/")[2]

    after: Tree = {}
    for path, node in tree.items():
        place = final(path)
        if place is not None:
            after.setdefault(place, node)
    for path, to in moves.items():
        after[to] = tree[path]
    for entry in entries:
        if isinstance(entry, File):
            after[entry.path] = "file", b"new " + entry.path
        elif isinstance(entry, Dir):
            after[entry.path] = "dir", b""
        elif isinstance(entry, Symlink):
            after[entry.path] = "symlink", entry.target
        elif isinstance(entry, LinkTo):
            origin = next((path for path, to in moves.items() if to == entry.other), entry.other)
            after[entry.path] = tree[origin]
    return after


def seen(scene: Scene) -> Tree:
    """The tree as it is."""
    tree: Tree = {}
    for path, (kind, *_, content, _first) in scene.shape().items():
        if kind == "dir":
            tree[path] = "dir", b""
        else:
            assert isinstance(content, bytes)
            tree[path] = str(kind), content
    return tree


outcomes: Counter[str] = Counter()


@settings(max_examples=500, deadline=None)
@given(trees, choices, st.one_of(st.just(-1), st.integers(0, 12)))
def check(kinds: dict[bytes, str], chosen: list[tuple[str, bytes, bytes]], failing: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        tree = grow(scene, kinds)
        entries = [entry for choice in chosen if (entry := entry_of(scene, *choice, tree)) is not None]
        left = {entry.path for entry in entries if isinstance(entry, Move | Remove)}
        states = dict(target for entry in entries if (target := target_of(entry, tree)) is not None)
        states = {name: state for name, state in states.items() if name not in left}
        before, hook = scene.look(), Failing(failing)
        try:
            scene.replay(entries, targets=states, hook=hook)
        except InvalidEffects:
            outcomes["invalid"] += 1
        except (ReplayRefused, OSError):
            outcomes["failed" if 0 <= failing < len(hook.instants) else "refused"] += 1
            if "forget" not in hook.instants:
                assert scene.look() == before
        else:
            outcomes["replayed"] += bool(entries)
            assert seen(scene) == expected(tree, entries)


def test_random_effects_on_random_trees() -> None:
    outcomes.clear()
    check()
    assert min(outcomes["replayed"], outcomes["failed"]) > 5, outcomes

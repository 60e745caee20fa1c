# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.recorded.effect_entries import (
    DIRECTORY,
    NOW,
    PLAIN,
    Dir,
    File,
    Hardlink,
    LinkTo,
    Mode,
    Move,
    Remove,
    State,
    Symlink,
    Times,
)
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.replay import renames
from pytrace_exec.replay.apply import ReplayRefused
from tests.exec.replay.scene import Scene

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.recorded.effect_entries import Entry


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture(params=["renameat2", "without"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With `renameat2` and as if the kernel had none."""
    if request.param == "without":

        def unsupported(*_: object) -> None:
            raise renames.Unsupported

        monkeypatch.setattr(renames, "_renameat2", unsupported)
    return str(request.param)


def test_a_new_file(scene: Scene) -> None:
    done = scene.replay([scene.file(b"out", b"text", 0o4711)])
    assert scene.shape() == {b"out": ("file", "0o4711", b"text", b"out")}
    assert (scene.root / "out").stat().st_nlink == 1
    assert done.written == [(bytes(scene.root / "out"), SHA256.of(b"text"))]


def test_umask_is_not_applied(scene: Scene) -> None:
    old = os.umask(0o077)
    try:
        scene.replay([scene.file(b"out", mode=0o666), Dir(b"d", 0o777)])
    finally:
        os.umask(old)
    assert stat.S_IMODE((scene.root / "out").stat().st_mode) == 0o666
    assert stat.S_IMODE((scene.root / "d").stat().st_mode) == 0o777


@pytest.mark.usefixtures("either")
def test_a_plain_file_is_replaced_by_another_inode(scene: Scene) -> None:
    old = scene.put("out", mode=0o640)
    inode = old.stat().st_ino
    scene.replay([scene.file(b"out", b"text", 0o640)], targets={b"out": PLAIN})
    assert scene.shape() == {b"out": ("file", "0o640", b"text", b"out")}
    assert old.stat().st_ino != inode
    assert old.stat().st_nlink == 1


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("in_place", [False, True])
def test_only_a_file_written_in_place_keeps_its_mode(scene: Scene, in_place: bool) -> None:
    scene.put("out", mode=0o600)
    scene.replay([scene.file(b"out", b"text", 0o644, in_place)], targets={b"out": State.file(0o600)})
    assert scene.shape()[b"out"][1] == ("0o600" if in_place else "0o644")


def test_writing_in_place_moves_no_time_of_the_folder(scene: Scene) -> None:
    scene.put("out")
    before = scene.root.stat().st_mtime_ns
    scene.replay([scene.file(b"out", in_place=True)], targets={b"out": PLAIN})
    assert scene.root.stat().st_mtime_ns == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second group")
def test_a_file_written_in_place_keeps_its_group(scene: Scene) -> None:
    os.chown(scene.put("out"), -1, 12345)
    scene.replay([scene.file(b"out", in_place=True)], targets={b"out": PLAIN})
    assert (scene.root / "out").stat().st_gid == 12345


@pytest.mark.usefixtures("either")
def test_links_directories_and_types_that_change(scene: Scene) -> None:
    scene.put("was-file")
    (scene.root / "was-link").symlink_to("old")
    (scene.root / "was-dir" / "below").mkdir(parents=True)
    scene.replay(
        [
            Dir(b"was-file", 0o750),
            scene.file(b"was-file/x"),
            scene.file(b"was-link"),
            Symlink(b"was-dir", b"x%20y"),
            Remove(b"was-dir/below", "dir"),
            Symlink(b"inside", b"%R/was-link"),
        ],
        targets={b"was-file": State.file(0o644), b"was-link": State.symlink(b"old"), b"was-dir": DIRECTORY},
    )
    assert scene.shape() == {
        b"was-file": ("dir", "0o750", b"was-file"),
        b"was-file/x": ("file", "0o644", b"new", b"was-file/x"),
        b"was-link": ("file", "0o644", b"new", b"was-link"),
        b"was-dir": ("symlink", b"x y", b"was-dir"),
        b"inside": ("symlink", bytes(scene.root / "was-link"), b"inside"),
    }


def test_a_tree_with_hard_links_and_modes_that_lock(scene: Scene) -> None:
    scene.replay(
        [
            Dir(b"d", 0o555),
            Dir(b"d/e", 0o500),
            scene.file(b"d/e/f", b"f", 0o400),
            Hardlink(b"d/g", b"d/e/f"),
            Hardlink(b"h", b"d/e/f"),
            Symlink(b"s", b"t"),
            Hardlink(b"s2", b"s"),
        ]
    )
    shape = scene.shape()
    assert shape[b"d"][1] == "0o555"
    assert shape[b"d/e"][1] == "0o500"
    assert {shape[name][3] for name in (b"d/e/f", b"d/g", b"h")} == {b"d/e/f"}
    assert shape[b"s2"] == ("symlink", b"t", b"s")
    os.chmod(scene.root / "d", 0o755)
    os.chmod(scene.root / "d" / "e", 0o755)


def test_removals(scene: Scene) -> None:
    scene.put("d/e/x")
    (scene.root / "l").symlink_to("d")
    scene.put("stays")
    scene.replay([Remove(b"d/e/x", "file"), Remove(b"d/e", "dir"), Remove(b"d", "dir"), Remove(b"l", "symlink")])
    assert list(scene.shape()) == [b"stays"]


@pytest.mark.usefixtures("either")
def test_renames_keep_the_inode_and_times(scene: Scene) -> None:
    inodes = {name: scene.put(name).stat().st_ino for name in ("log", "log.1", "dir/deep/x", "over")}
    scene.put("under", b"gone")
    scene.replay(
        [
            Move(b"log.1", b"log.2"),
            Move(b"log", b"log.1"),
            scene.file(b"log", b"fresh"),
            Dir(b"n", 0o755),
            Move(b"dir", b"n/dir"),
            scene.file(b"n/dir/deep/y", b"beside"),
            Remove(b"dir/deep/x", "file"),
            Move(b"over", b"under"),
        ],
        targets={b"under": State.file(0o644)},
    )
    shape = scene.shape()
    assert set(shape) == {b"log", b"log.1", b"log.2", b"n", b"n/dir", b"n/dir/deep", b"n/dir/deep/y", b"under"}
    assert (scene.root / "log.1").stat().st_ino == inodes["log"]
    assert (scene.root / "log.2").stat().st_ino == inodes["log.1"]
    assert (scene.root / "under").stat().st_ino == inodes["over"]
    assert (scene.root / "under").stat().st_mtime == 1_000_000_000
    assert shape[b"log"][2] == b"fresh"


def test_a_name_in_a_renamed_folder_is_removed_and_made_again(scene: Scene) -> None:
    scene.put("d/x")
    scene.replay([Move(b"d", b"e"), Remove(b"d/x", "file"), scene.file(b"e/x", b"fresh")])
    assert scene.shape() == {b"e": ("dir", "0o755", b"e"), b"e/x": ("file", "0o644", b"fresh", b"e/x")}


def test_new_links_to_what_was_there(scene: Scene) -> None:
    scene.put("a")
    scene.put("b")
    scene.put("old", b"replaced")
    scene.replay(
        [Dir(b"n", 0o755), LinkTo(b"n/a", b"a"), Move(b"b", b"c"), LinkTo(b"d", b"c"), LinkTo(b"old", b"a")],
        targets={b"old": State.file(0o644)},
    )
    shape = scene.shape()
    assert (shape[b"n/a"][3], shape[b"old"][3], shape[b"d"][3]) == (b"a", b"a", b"c")
    assert (scene.root / "a").stat().st_nlink == 3


def test_modes_and_times_of_what_was_there(scene: Scene) -> None:
    scene.put("f")
    scene.put("d/x")
    (scene.root / "l").symlink_to("f")
    scene.replay(
        [
            Mode(b"f", 0o4750),
            Times(b"f", None, 1_500_000_000_123_456_789),
            Mode(b"d", 0o555),
            Times(b"d", 1, -5),
            scene.file(b"d/y"),
            Times(b"l", None, 77),
            Times(b"d/x", NOW, NOW),
        ]
    )
    f, d = (scene.root / "f").stat(), (scene.root / "d").stat()
    assert (f.st_mtime_ns, f.st_atime_ns) == (1_500_000_000_123_456_789, 1_000_000_000_000_000_000)
    assert (stat.S_IMODE(f.st_mode), stat.S_IMODE(d.st_mode)) == (0o4750, 0o555)
    assert (d.st_atime_ns, d.st_mtime_ns) == (1, -5)
    assert (scene.root / "l").lstat().st_mtime_ns == 77
    assert (scene.root / "d" / "x").stat().st_mtime_ns == (scene.root / "d" / "y").stat().st_mtime_ns
    os.chmod(scene.root / "d", 0o755)


def test_a_directory_made_again_is_kept(scene: Scene) -> None:
    scene.put("build/x")
    inode = (scene.root / "build").stat().st_ino
    scene.replay(
        [Remove(b"build/x", "file"), Dir(b"build", 0o700), scene.file(b"build/y")], targets={b"build": DIRECTORY}
    )
    assert list(scene.shape()) == [b"build", b"build/y"]
    assert (scene.root / "build").stat().st_ino == inode
    assert scene.shape()[b"build"][1] == "0o700"


def test_times_follow_the_recorded_order(scene: Scene) -> None:
    newest = time.time_ns()
    os.utime(scene.put("input"), ns=(newest, newest))
    entries: list[Entry] = [scene.file(b"b"), scene.file(b"a"), scene.file(b"c"), Symlink(b"s", b"a"), Dir(b"d", 0o755)]
    entries += [scene.file(b"d/x"), scene.file(b"old"), Times(b"old", None, 5)]
    scene.replay(entries, order=[[b"b", b"d/x"], [b"a"], [b"d", b"s"], [b".", b"c"]], newest_input_ns=newest)
    times = {name: (scene.root / name).lstat().st_mtime_ns for name in ("", "a", "b", "c", "d", "d/x", "s", "old")}
    assert newest < times["b"] == times["d/x"] < times["a"] < times["s"] == times["d"] < times["c"] == times[""]
    assert times["c"] <= time.time_ns()
    assert times["old"] == 5


def test_a_folder_is_no_newer_than_the_outputs_in_it(scene: Scene) -> None:
    scene.put("d/x")
    scene.replay([scene.file(b"d/y"), scene.file(b"d/z")], order=[[b"d/y"], [b"d/z"]])
    assert (scene.root / "d").stat().st_mtime_ns <= (scene.root / "d" / "y").stat().st_mtime_ns


def test_an_input_from_the_future_is_refused(scene: Scene) -> None:
    before = scene.look()
    with pytest.raises(ReplayRefused):
        scene.prepare([scene.file(b"a")], newest_input_ns=time.time_ns() + 10**9)
    assert scene.look() == before


def test_right_content_is_not_written_again(scene: Scene) -> None:
    asked = []

    def digest_of(path: bytes, status: os.stat_result) -> str:
        asked.append(path)
        return str(SHA256.of(Path(os.fsdecode(path)).read_bytes()))

    same, linked = scene.put("same", b"new"), scene.put("linked", b"new")
    scene.put("mode", b"new", 0o600)
    inodes = same.stat().st_ino, linked.stat().st_ino, scene.root.stat().st_mtime_ns
    prepared = scene.prepare(
        [scene.file(b"same"), scene.file(b"linked"), Hardlink(b"link", b"linked"), scene.file(b"mode", in_place=False)],
        targets={b"same": PLAIN, b"linked": PLAIN, b"mode": State.file(0o600)},
        digest_of=digest_of,
    )
    prepared.commit()
    prepared.forget()
    assert (same.stat().st_ino, asked) == (inodes[0], [bytes(same)])
    assert same.stat().st_mtime_ns == (scene.root / "mode").stat().st_mtime_ns
    assert linked.stat().st_ino != inodes[1]
    assert (scene.root / "link").stat().st_ino == linked.stat().st_ino
    assert (bytes(same), SHA256.of(b"new")) in prepared.written


def test_right_content_alone_touches_no_folder(scene: Scene) -> None:
    same = scene.put("same", b"new")
    before = scene.root.stat()
    scene.blobs.content.clear()
    entry = File(b"same", 0o644, SHA256.of(b"new"))
    scene.replay([entry], targets={b"same": PLAIN}, digest_of=lambda path, status: str(entry.digest))
    assert same.stat().st_mtime_ns > 1_000_000_000_000_000_000
    assert (scene.root.stat().st_mtime_ns, scene.root.stat().st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)


def test_allowed_places_outside_the_root(scene: Scene) -> None:
    cache = scene.home / "cache"
    scene.replay([Dir(b"%H/cache", 0o700), scene.file(b"%H/cache/x")], allowed=[bytes(cache)])
    assert (cache / "x").read_bytes() == b"new"
    scene.replay([scene.file(b"%H/one")], allowed=[bytes(scene.home / "one")])
    assert (scene.home / "one").read_bytes() == b"new"


@pytest.mark.parametrize("name", [b"%H/x", b"%H/cachet/x", b"%T/x", b"/etc/pytrace-test"])
def test_other_places_are_refused(scene: Scene, name: bytes) -> None:
    entries: list[list[Entry]] = [
        [scene.file(name)],
        [Remove(name, "file")],
        [Move(name, b"x")],
        [LinkTo(b"x", name)],
        [Mode(name, 0o777)],
        [Times(name, None, NOW)],
    ]
    before = scene.look()
    for effects in entries:
        with pytest.raises(ReplayRefused):
            scene.prepare(effects, allowed=[bytes(scene.home / "cache")])
    assert scene.look() == before


def test_two_names_that_are_one_path_are_refused(scene: Scene) -> None:
    place = os.fsencode(scene.home / "x")
    with pytest.raises(ReplayRefused):
        scene.prepare([scene.file(b"%H/x"), scene.file(place)], allowed=[place])


def test_a_missing_blob_leaves_the_tree_alone(scene: Scene) -> None:
    before = scene.look()
    with pytest.raises(BlobMissing):
        scene.prepare([Dir(b"d", 0o755), scene.file(b"d/a"), File(b"z", 0o644, SHA256.of(b"nowhere"))])
    assert scene.look() == before


def test_leaving_the_block_rolls_back(scene: Scene) -> None:
    scene.put("a")
    before = scene.look()
    with scene.prepare([scene.file(b"a"), scene.file(b"b")], targets={b"a": PLAIN}):
        pass
    with scene.prepare([scene.file(b"a"), scene.file(b"b")], targets={b"a": PLAIN}) as prepared:
        prepared.commit()
    assert scene.look() == before


def test_nothing_to_do(scene: Scene) -> None:
    before = scene.look()
    scene.replay([])
    assert scene.look() == before

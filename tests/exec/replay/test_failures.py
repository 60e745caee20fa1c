# SPDX-License-Identifier: Apache-2.0
"""Whatever fails, and wherever a replay is killed: the tree as it was, or each name old or new."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytrace_cas.recorded.effect_entries import (
    DIRECTORY,
    NOW,
    PLAIN,
    Dir,
    Hardlink,
    LinkTo,
    Mode,
    Move,
    Remove,
    State,
    Symlink,
    Times,
)
from pytrace_exec.replay import renames
from pytrace_exec.replay.apply import ReplayRefused, UndoFailed
from tests.exec.replay.scene import Failing, Scene

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.recorded.effect_entries import Entry

STATES = {
    b"plain": PLAIN,
    b"in-place": State.file(0o600),
    b"link": State.symlink(b"old"),
    b"file-to-dir": State.file(0o644),
    b"dir-to-file": DIRECTORY,
    b"over": State.file(0o644),
    b"linked": State.file(0o644),
    b"kept-dir": DIRECTORY,
}


def fill(scene: Scene) -> None:
    """Make something for every kind of entry to change."""
    for name in ("plain", "file-to-dir", "over", "linked", "gone", "d/e/gone", "moved/deep/x", "log", "log.1", "mover"):
        scene.put(name, b"old " + name.encode())
    scene.put("in-place", mode=0o600)
    scene.put("kept-dir/x")
    scene.put("original")
    scene.put("own")
    (scene.root / "link").symlink_to("old")
    (scene.root / "dir-to-file" / "empty").mkdir(parents=True)


def everything(scene: Scene) -> list[Entry]:
    """Every kind of entry, in every way it can be carried out."""
    return [
        scene.file(b"plain", b"new plain"),
        scene.file(b"in-place", b"new in place", 0o644, in_place=True),
        scene.file(b"link", b"was a link"),
        Dir(b"file-to-dir", 0o755),
        scene.file(b"file-to-dir/x", b"below"),
        Remove(b"dir-to-file/empty", "dir"),
        scene.file(b"dir-to-file", b"was a directory"),
        scene.file(b"absent", b"was not there", 0o4755),
        Symlink(b"symlink", b"absent"),
        Hardlink(b"hardlink", b"absent"),
        Remove(b"gone", "file"),
        Remove(b"d/e/gone", "file"),
        Remove(b"d/e", "dir"),
        Remove(b"d", "dir"),
        Move(b"log.1", b"log.2"),
        Move(b"log", b"log.1"),
        scene.file(b"log", b"new log"),
        Dir(b"new", 0o500),
        scene.file(b"new/x", b"x"),
        Move(b"moved", b"new/moved"),
        scene.file(b"new/moved/y", b"y"),
        Remove(b"moved/deep/x", "file"),
        Move(b"mover", b"over"),
        LinkTo(b"linked", b"original"),
        LinkTo(b"new/original", b"original"),
        Mode(b"own", 0o600),
        Times(b"own", 1, NOW),
        Remove(b"kept-dir/x", "file"),
        Dir(b"kept-dir", 0o700),
    ]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    fill(made)
    return made


@pytest.fixture(params=["renameat2", "without"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With `renameat2` and as if the kernel had none."""
    if request.param == "without":

        def unsupported(*_: object) -> None:
            raise renames.Unsupported

        monkeypatch.setattr(renames, "_renameat2", unsupported)
    return str(request.param)


def instants(folder: Path) -> list[str]:
    """All instants that a whole replay of everything goes through."""
    folder.mkdir()
    scene, hook = Scene(folder), Failing()
    fill(scene)
    scene.replay(everything(scene), targets=STATES, hook=hook)
    unlock(scene)
    return hook.instants


def unlock(scene: Scene) -> None:
    """Let the folder be removed by others than root too."""
    for folder, names, _ in os.walk(scene.root):
        for name in names:
            if not os.path.islink(os.path.join(folder, name)):
                os.chmod(os.path.join(folder, name), 0o755)


class Stopped(BaseException):
    """Stands for what is no ordinary error, as an interrupt from the keyboard."""


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("error", [lambda: OSError(28, "No space left on device"), Stopped])
def test_a_failure_at_any_instant_leaves_the_tree_as_it_was(
    tmp_path: Path, scene: Scene, error: Callable[[], BaseException]
) -> None:
    names = instants(tmp_path / "whole")
    entries, before = everything(scene), scene.look()
    for at in range(names.index("forget")):
        with pytest.raises((ReplayRefused, Stopped)):
            scene.replay(entries, targets=STATES, hook=Failing(at, error))
        assert scene.look() == before, names[at]


@pytest.mark.usefixtures("either")
def test_rolling_back_a_whole_replay(scene: Scene) -> None:
    before = scene.look()
    prepared = scene.prepare(everything(scene), targets=STATES)
    assert {path for path in scene.look() if b"/.pytrace-" not in path} == set(before)
    prepared.commit()
    prepared.rollback()
    assert scene.look() == before


def killed_at(scene: Scene, at: int) -> None:
    """Replay everything in a child that is killed at that instant."""
    child = os.fork()
    if child == 0:
        try:
            scene.replay(everything(scene), targets=STATES, hook=Failing(at, kill))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


def kill() -> BaseException:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_kill_at_any_instant_leaves_each_name_old_or_new(tmp_path: Path, scene: Scene) -> None:
    names = instants(tmp_path / "whole")
    old = whole(scene)
    finished = Scene(named(tmp_path / "finished"))
    fill(finished)
    finished.replay(everything(finished), targets=STATES)
    new = whole(finished)
    for at, name in enumerate(names):
        again = Scene(named(tmp_path / f"at-{at}"))
        fill(again)
        killed_at(again, at)
        now = whole(again)
        for path in {*old, *new, *now}:
            assert now.get(path) in (old.get(path), new.get(path)), (name, path)
        sweep(again)
        unlock(again)
    unlock(finished)


def named(folder: Path) -> Path:
    """Make a folder."""
    folder.mkdir()
    return folder


def whole(scene: Scene) -> dict[bytes, tuple[object, ...]]:
    """Types and content by name, without what a replay has staged; nor modes that are changed on their own."""
    shape = scene.shape()
    return {
        path: look[:1] if look[0] == "dir" or path == b"own" else look[:-1]
        for path, look in shape.items()
        if b".pytrace-" not in path
    }


def sweep(scene: Scene) -> None:
    """A later replay in the folder removes what the killed one staged, once it is old enough."""
    staged = scene.root / ".pytrace-0"
    there = staged.exists()
    scene.replay([scene.file(b"later-1")])
    assert staged.exists() == there
    if there:
        os.utime(staged, (time.time() - 7200, time.time() - 7200))
        scene.replay([scene.file(b"later-2")])
        assert not staged.exists()


def test_all_that_killed_replays_left_is_swept_at_once(scene: Scene) -> None:
    for number in (0, 1, 5):
        left = scene.root / f".pytrace-{number}"
        left.mkdir()
        (left / "o1").touch()
        os.utime(left, (time.time() - 7200, time.time() - 7200))
    (scene.root / ".pytrace-2").mkdir()
    scene.replay([scene.file(b"later")])
    assert {path.name for path in scene.root.glob(".pytrace-*")} == {".pytrace-2"}


def test_a_staging_folder_in_use_is_left_alone(scene: Scene) -> None:
    with scene.prepare([scene.file(b"a")]) as first:
        os.utime(scene.root / ".pytrace-0", (0, 0))
        scene.replay([scene.file(b"b")])
        assert (scene.root / ".pytrace-0").exists()
        first.commit()
        first.forget()
    assert not [path for path in scene.look() if b".pytrace" in path]
    assert (scene.root / "a").read_bytes() == (scene.root / "b").read_bytes() == b"new"


def test_a_user_file_in_a_removed_directory_survives_the_sweep(scene: Scene) -> None:
    leftover = scene.root / ".pytrace-0" / "o1"
    leftover.mkdir(parents=True)
    (leftover / "precious").write_bytes(b"mine")
    os.utime(scene.root / ".pytrace-0", (0, 0))
    scene.replay([scene.file(b"a")])
    assert (leftover / "precious").read_bytes() == b"mine"
    assert (scene.root / "a").read_bytes() == b"new"


def test_what_cannot_be_undone_is_said_and_kept(scene: Scene) -> None:
    """Somebody takes the name of a removed file before the replay fails: both files are still there."""

    def taken(instant: str) -> None:
        if instant == "taken":
            (scene.root / "gone").write_bytes(b"somebody else's")
            raise OSError(5, "injected")

    with pytest.raises(UndoFailed) as caught:
        scene.replay([Remove(b"gone", "file")], hook=taken)
    assert caught.value.paths == [bytes(scene.root / "gone")]
    assert (scene.root / "gone").read_bytes() == b"somebody else's"
    (kept,) = scene.root.glob(".pytrace-kept-*")
    assert (kept / "o1").read_bytes() == b"old gone"


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("instant", ["staged", "place"])
def test_a_file_that_changed_since_is_not_replaced(scene: Scene, instant: str) -> None:
    def meddle(reached: str) -> None:
        if reached == instant:
            (scene.root / "plain").write_bytes(b"somebody else's")

    with pytest.raises(ReplayRefused):
        scene.replay([scene.file(b"plain")], targets={b"plain": PLAIN}, hook=meddle)
    assert (scene.root / "plain").read_bytes() == b"somebody else's"


def test_a_file_that_appeared_since_is_not_replaced(scene: Scene) -> None:
    def meddle(reached: str) -> None:
        if reached in ("place", "rename"):
            (scene.root / "fresh").write_bytes(b"somebody else's")

    for entry in (scene.file(b"fresh"), Dir(b"fresh", 0o755), Move(b"log", b"fresh"), LinkTo(b"fresh", b"log")):
        with pytest.raises(ReplayRefused):
            scene.replay([entry, scene.file(b"other")], hook=meddle)
        assert (scene.root / "fresh").read_bytes() == b"somebody else's"
        (scene.root / "fresh").unlink()


def test_a_folder_that_was_filled_since_is_not_removed(scene: Scene) -> None:
    def meddle(reached: str) -> None:
        if reached == "taken":
            for folder in (scene.root, scene.root / ".pytrace-0"):
                for path in folder.glob("**/e"):
                    (path / "precious").write_bytes(b"mine")

    entries = [Remove(b"d/e/gone", "file"), Remove(b"d/e", "dir"), Remove(b"d", "dir")]
    with pytest.raises(ReplayRefused):
        scene.replay(entries, hook=meddle)
    assert (scene.root / "d" / "e" / "precious").read_bytes() == b"mine"
    assert (scene.root / "d" / "e" / "gone").read_bytes() == b"old d/e/gone"

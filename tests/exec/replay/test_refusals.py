# SPDX-License-Identifier: Apache-2.0
"""What is in the way makes a miss, and a hostile result reaches nothing."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.recorded.effect_entries import (
    ABSENT,
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
from pytrace_cas.recorded.effects import Effects, MalformedEffects
from pytrace_exec.replay.apply import ReplayRefused
from tests.exec.replay.scene import Scene

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.recorded.effect_entries import Entry


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def refused(scene: Scene, entries: list[Entry], **options: object) -> str:
    """Check that a replay is refused with the tree as it was; return the reason."""
    before = scene.look()
    with pytest.raises(ReplayRefused) as caught:
        scene.replay(entries, **options)
    assert scene.look() == before
    return caught.value.why


def set_attribute(path: Path) -> None:
    try:
        os.setxattr(path, "user.mine", b"1")
    except OSError:
        pytest.skip("the file system keeps no user attributes")


def set_acl(path: Path) -> None:
    setfacl = shutil.which("setfacl")
    if setfacl is None:
        pytest.skip("setfacl is not installed")
    subprocess.run([setfacl, "-m", "u:12345:r", str(path)], check=True)
    path.chmod(0o644)


def give_away(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 12345, -1)


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SPOILERS: dict[str, Callable[[Path], None]] = {
    "attribute": set_attribute,
    "acl": set_acl,
    "owner": give_away,
    "second-name": lambda path: os.link(path, path.with_name("other")),
    "mode": lambda path: path.chmod(0o664),
    "directory": make_directory,
    "link": make_link,
    "fifo": make_fifo,
}


@pytest.mark.parametrize("spoiler", SPOILERS)
@pytest.mark.parametrize("state", [PLAIN, State.file(0o644)])
@pytest.mark.parametrize("in_place", [False, True])
def test_only_a_plain_own_file_is_replaced(scene: Scene, spoiler: str, state: State, in_place: bool) -> None:
    SPOILERS[spoiler](scene.put("out"))
    refused(scene, [scene.file(b"out", in_place=in_place), scene.file(b"fresh")], targets={b"out": state})


def test_states_must_be_as_they_were(scene: Scene) -> None:
    scene.put("file")
    (scene.root / "dir").mkdir()
    (scene.root / "link").symlink_to("elsewhere")
    states = [ABSENT, State.file(0o600), DIRECTORY, State.symlink(b"else")]
    for name in (b"file", b"dir", b"link"):
        for state in states:
            if (name, state) != (b"dir", DIRECTORY):
                refused(scene, [scene.file(name)], targets={name: state})
    for state in states[1:]:
        refused(scene, [scene.file(b"nothing")], targets={b"nothing": state})
        refused(scene, [Dir(b"new", 0o755), scene.file(b"new/x")], targets={b"new/x": state})


def test_originals_must_be_there_and_of_their_type(scene: Scene) -> None:
    scene.put("file")
    scene.put("full/x")
    (scene.root / "link").symlink_to("file")
    for entry in (
        Remove(b"nothing", "file"),
        Remove(b"file", "symlink"),
        Remove(b"full", "file"),
        Remove(b"full", "dir"),
        Remove(b"link", "file"),
        Move(b"nothing", b"x"),
        Move(b"file", b"full/deep/x"),
        LinkTo(b"x", b"nothing"),
        LinkTo(b"x", b"full"),
        Mode(b"nothing", 0o644),
        Mode(b"link", 0o644),
        Times(b"nothing", None, NOW),
        scene.file(b"nowhere/x"),
        scene.file(b"file/x"),
    ):
        refused(scene, [scene.file(b"fresh"), entry])


def test_a_directory_that_is_replaced_must_be_empty(scene: Scene) -> None:
    scene.put("full/x")
    refused(scene, [scene.file(b"full")], targets={b"full": DIRECTORY})


def test_renames_that_trade_places_are_refused(scene: Scene) -> None:
    scene.put("a", b"a")
    scene.put("b", b"b")
    assert "ring" in refused(scene, [Move(b"a", b"b"), Move(b"b", b"a")])


def test_a_renamed_file_may_replace_a_plain_one_of_its_mode(scene: Scene) -> None:
    scene.put("a", b"a", 0o640)
    scene.put("b", b"b", 0o600)
    refused(scene, [Move(b"a", b"b")], targets={b"b": PLAIN})
    (scene.root / "b").chmod(0o640)
    scene.replay([Move(b"a", b"b"), scene.file(b"c"), Hardlink(b"d", b"c")], targets={b"b": PLAIN, b"d": PLAIN})
    assert (scene.root / "b").read_bytes() == b"a"


def test_no_link_is_followed(scene: Scene, tmp_path: Path) -> None:
    """Neither one that is there, nor one that takes a directory's place meanwhile, nor one of the result's own."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_bytes(b"mine")
    (scene.root / "link").symlink_to(outside)
    kinds: list[Entry] = [
        scene.file(b"link/x"),
        Dir(b"link/x", 0o755),
        Remove(b"link/victim", "file"),
        Move(b"link/victim", b"x"),
        LinkTo(b"x", b"link/victim"),
        Mode(b"link/victim", 0o777),
        Times(b"link/victim", None, NOW),
    ]
    for entry in kinds:
        refused(scene, [entry])
    (scene.root / "dir").mkdir()

    def swap(instant: str) -> None:
        if instant == "staged":
            (scene.root / "dir").rename(scene.root / "aside")
            (scene.root / "dir").symlink_to(outside)

    scene.replay([scene.file(b"dir/x")], hook=swap)
    assert (scene.root / "aside" / "x").read_bytes() == b"new"
    assert os.listdir(outside) == ["victim"]


def test_a_result_cannot_write_through_its_own_link(scene: Scene) -> None:
    for text in (b"symlink a %H\n", b"symlink a %H\nmove x a/y\n"):
        lines = b"pytrace-effects 1\n" + b"file a/x 0644 " + str(SHA256.of(b"x")).encode() + b"\n" + text + b"exit 0\n"
        with pytest.raises(MalformedEffects):
            Effects.decode(lines)


def test_a_moved_link_is_no_way_out(scene: Scene) -> None:
    (scene.root / "link").symlink_to(scene.home)
    refused(scene, [Move(b"link", b"way"), scene.file(b"way/x")])
    (scene.home / "real").mkdir()
    refused(scene, [Move(b"link", b"way"), Remove(b"link/real", "dir")])
    assert os.listdir(scene.home) == ["real"]


def test_a_blob_of_another_size_is_refused(scene: Scene) -> None:
    digest = SHA256.of(b"right")
    scene.blobs.content[digest] = b"wrong size"
    refused(scene, [scene.file(b"a"), File(b"b", 0o644, digest)])


def test_a_long_chain_of_renames_is_planned_without_recursion(scene: Scene) -> None:
    count = 2000
    scene.put("f0")
    moves: list[Entry] = [Move(b"f%d" % number, b"f%d" % (number + 1)) for number in range(count)]
    refused(scene, moves)


UNPRIVILEGED = 65534


def as_user(action: Callable[[], object], folder: Path) -> str:
    """Run in a child without privileges; return what it ended with, or nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == 0 and parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)

    def unprivileged() -> None:
        os.setgroups([])
        os.setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
        os.setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
        action()

    return in_child(unprivileged)


def in_child(action: Callable[[], object]) -> str:
    """Run in a child; return the exception it ended with, or nothing."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        said = b""
        try:
            action()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}".encode()
        os.write(write, said)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said.decode()


@pytest.fixture
def users(scene: Scene) -> Scene:
    """A scene that belongs to the user who replays."""
    if os.geteuid() == 0:
        for path in scene.look():
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
    return scene


def test_a_user_replays_in_an_own_folder(users: Scene, tmp_path: Path) -> None:
    entries: list[Entry] = [
        Dir(b"d", 0o555),
        users.file(b"d/x", mode=0o400),
        users.file(b"y", mode=0o2755),
        Symlink(b"l", b"y"),
    ]
    assert as_user(lambda: users.replay(entries), tmp_path) == ""
    assert set(users.shape()) == {b"d", b"d/x", b"l", b"y"}
    assert users.shape()[b"y"][1] == "0o2755"


def test_a_user_cannot_replay_where_nothing_may_be_written(users: Scene, tmp_path: Path) -> None:
    locked, foreign = users.root / "locked", users.put("foreign")
    locked.mkdir(mode=0o555)
    read_only = users.put("read-only", mode=0o444)
    for path in (locked, read_only):
        os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
    before = users.look()
    refusals: list[tuple[list[Entry], dict[bytes, State]]] = [
        ([users.file(b"x"), users.file(b"locked/x")], {}),
        ([users.file(b"x"), users.file(b"foreign")], {b"foreign": State.file(0o644)}),
        ([users.file(b"x"), users.file(b"read-only", mode=0o444)], {b"read-only": PLAIN}),
        ([users.file(b"x"), Mode(b"foreign", 0o600)], {}),
        ([users.file(b"x"), Times(b"foreign", None, 5)], {}),
        ([Dir(b"locked", 0o755), users.file(b"locked/x")], {b"locked": DIRECTORY}),
    ]
    for entries, targets in refusals:
        said = as_user(partial(users.replay, entries, targets=targets), tmp_path)
        assert said.startswith("ReplayRefused"), (said, entries)
        assert users.look() == before
    assert foreign.read_bytes() == b"old"


def test_a_full_file_system_is_refused(scene: Scene) -> None:
    """The blobs' writer meets the end of the disk half way."""

    class Full:
        def copy_to(self, digest: object, fd: int) -> None:
            os.write(fd, b"par")
            raise OSError(28, "No space left on device")

    entry = scene.file(b"x")
    scene.blobs = Full()  # type: ignore[assignment]
    refused(scene, [Dir(b"d", 0o755), entry])


def test_more_folders_than_descriptors(scene: Scene) -> None:
    """The limit is raised as far as it may be, and afterwards as it was; beyond that a replay is refused."""
    entries: list[Entry] = []
    for number in range(300):
        (scene.root / str(number)).mkdir()
        entries.append(scene.file(b"%d/x" % number))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        scene.replay(entries)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (256, limits[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(scene.shape()) == 600

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        refused(scene, [scene.file(b"%d/y" % number) for number in range(300)])

    assert in_child(limited) == ""

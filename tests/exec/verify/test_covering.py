# SPDX-License-Identifier: Apache-2.0
"""Covered folders: what is done in them is seen by who does it, and by nobody else."""

from __future__ import annotations

import ctypes
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytrace_exec.verify.covering import NotCovered, cover, outermost
from tests.support import tree

NOBODY = 65534
_PR_SET_DUMPABLE = 4


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder that any user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="pytrace-covered-"))
    folder.chmod(0o755)
    for name in ("work", "scratch"):
        (folder / name).mkdir()
    (folder / "work/old").write_text("old")
    try:
        yield folder
    finally:
        tree.remove(os.fsencode(folder))


def _in_child(base: Path, uid: int | None) -> bytes:
    """Change everything in a covered folder, in a process that may be another user's; tell what it saw, or why not."""
    b"".decode("unicode_escape").encode("latin-1")  # the codecs, which another user may not be allowed to load
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
                # As a process that never had another's rights: /proc/self is its own.
                ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
            os.chdir(base / "work")
            cover([os.fsencode(base / "work")], os.fsencode(base / "scratch"))
            for name, flags in (("old", os.O_TRUNC), ("new", os.O_CREAT)):
                file = os.open(name, os.O_WRONLY | flags)
                os.write(file, b"changed")
                os.close(file)
            os.mkdir("folder")
            os.rename("new", "folder/new")
            os.write(theirs, b" ".join(sorted(os.listdir(b"."))))
        except (NotCovered, OSError) as error:
            os.write(theirs, f"failed: {error!r}".encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with open(ours, "rb") as said:
        return said.read()


@pytest.mark.parametrize("uid", [None, NOBODY], ids=["ourselves", "another user"])
def test_what_is_done_vanishes(base: Path, uid: int | None) -> None:
    if uid is not None:
        if os.geteuid():
            pytest.skip("only root can become another user")
        for path in (base / "work", base / "scratch", base / "work/old"):
            os.chown(path, uid, uid)
    before = os.stat(base / "work/old")
    assert _in_child(base, uid) == b"folder old"
    assert os.listdir(base / "work") == ["old"]
    after = os.stat(base / "work/old")
    assert (after.st_ctime_ns, after.st_ino, (base / "work/old").read_text()) == (
        before.st_ctime_ns,
        before.st_ino,
        "old",
    )
    assert os.listdir(base / "scratch") == []
    assert stat.S_IMODE(os.stat(base / "work").st_mode) == 0o755


def test_the_outermost_of_folders() -> None:
    assert outermost([b"/a/b", b"/a", b"/ab", b"/a/b/c", b"/a"]) == [b"/a", b"/ab"]

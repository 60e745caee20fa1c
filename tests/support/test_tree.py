# SPDX-License-Identifier: Apache-2.0
"""Trees as values: whatever a user could see differ is a difference."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import tree

CHANGES = {
    "existence": "rm file",
    "value": "echo other > file",
    "mode": "chmod 4755 file",
    "linked": "rm second; cp -p file second",
    "kind": "rm -r empty; echo > empty",
    "attributes": None,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one of each: file, two names of a file, empty directory, symlink."""
    made = tmp_path / "made"
    made.mkdir()
    subprocess.run("echo one > file; ln file second; mkdir empty; ln -s file link", shell=True, cwd=made, check=True)
    return made


@pytest.mark.parametrize("what", CHANGES)
def test_every_change_is_found(folder: Path, what: str) -> None:
    before = tree.take(os.fsencode(folder))
    change = CHANGES[what]
    if change is None:
        os.setxattr(folder / "file", "user.key", b"value")
    else:
        subprocess.run(change, shell=True, cwd=folder, check=True)
    found = tree.differences(before, tree.take(os.fsencode(folder)))
    assert what in {difference.what for difference in found}


def test_a_copy_is_equal_and_as_old(folder: Path, tmp_path: Path) -> None:
    target = os.fsencode(tmp_path / "copy")
    tree.copy(os.fsencode(folder), target)
    one, other = tree.take(os.fsencode(folder)), tree.take(target)
    assert tree.differences(one, other) == []
    assert tree.order_differences(one, other) == []
    assert {path: entry.mtime_ns for path, entry in one.items()} == {
        path: entry.mtime_ns for path, entry in other.items()
    }


def test_old_times_are_compared_and_fresh_ones_are_not(folder: Path) -> None:
    os.utime(folder / "file", ns=(1000, 1000))
    before = tree.take(os.fsencode(folder))
    os.utime(folder / "file", ns=(2000, 2000))
    after = tree.take(os.fsencode(folder))
    assert {one.path for one in tree.time_differences(before, after, 5000)} == {b"file", b"second"}
    assert tree.time_differences(before, after, 500) == []


def test_removing_takes_unwritable_folders_and_symlinks(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / "below").mkdir(parents=True)
    (target / "below").chmod(0)
    (tmp_path / "link").symlink_to(target)
    for name in ("link", "target", "absent"):
        tree.remove(os.fsencode(tmp_path / name))
    assert list(tmp_path.iterdir()) == []

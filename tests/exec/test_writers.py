# SPDX-License-Identifier: Apache-2.0
"""A file that is open for writing is told from one that is not, and who opens one meanwhile only waits."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from pytrace_exec.writers import has_writer

OPENS = 2000


def test_only_who_writes_counts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("w") as writer:
        assert has_writer(os.fsencode(path))
        with path.open():
            assert has_writer(os.fsencode(path))
        writer.write("content")
    with path.open():
        assert not has_writer(os.fsencode(path))
    os.link(path, tmp_path / "other")
    with path.open("r+"):
        assert has_writer(os.fsencode(tmp_path / "other"))
    with pytest.raises(FileNotFoundError):
        has_writer(os.fsencode(tmp_path / "absent"))
    assert sorted(os.listdir(tmp_path)) == ["file", "other"]


def test_nobody_is_kept_from_opening(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    writer = multiprocessing.get_context("fork").Process(target=_open_often, args=(path,))
    writer.start()
    found = set()
    while writer.is_alive():
        found.add(has_writer(os.fsencode(path)))
    writer.join()
    assert writer.exitcode == 0
    assert found == {True, False}


def _open_often(path: Path) -> None:
    for _ in range(OPENS):
        with path.open("w") as file:
            file.write("content")

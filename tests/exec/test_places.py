# SPDX-License-Identifier: Apache-2.0
"""Where a run finds its places."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytrace_exec.places import MARKERS, discover, find_root


@pytest.mark.parametrize("marker", MARKERS)
def test_root_is_the_nearest_folder_with_a_marker(tmp_path: Path, marker: bytes) -> None:
    top, below = tmp_path / "top", tmp_path / "top" / "a" / "b"
    below.mkdir(parents=True)
    (top / marker.decode()).mkdir()
    (below.parent / marker.decode()).write_bytes(b"gitdir: elsewhere\n")
    assert find_root(bytes(below)) == bytes(below.parent)
    assert find_root(bytes(top)) == bytes(top)


def test_root_is_never_home(tmp_path: Path) -> None:
    home, below = tmp_path / "repo" / "home", tmp_path / "repo" / "home" / "x"
    below.mkdir(parents=True)
    (home / ".git").mkdir()
    assert find_root(bytes(below), bytes(home)) == bytes(below)
    (tmp_path / "repo" / ".git").mkdir()
    assert find_root(bytes(below), bytes(home)) == bytes(tmp_path / "repo")


def test_places_are_discovered_without_links(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    environment = {b"HOME": bytes(tmp_path / "link"), b"TMPDIR": b"relative"}
    places = discover(bytes(real), environment)
    assert (places.root, places.home, places.tmp) == (bytes(real), bytes(real), None)
    assert discover(b"/", {}, root=bytes(tmp_path / "link")).root == bytes(real)

# SPDX-License-Identifier: Apache-2.0
"""A result that shows the way from the root to another place belongs to both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exec.wrapper.place import Ended, Place


def in_two_roots(place: Place, script: str, **variables: str | None) -> Iterator[tuple[Path, Ended]]:
    """Run a script that the user vouches for, in two roots of different depth."""
    for name in ("one", "deep/down/below"):
        root = place.base / name
        root.mkdir(parents=True)
        words = ("--portable", "--root", str(root), "--", "sh", "-c", script)
        yield root, place.run(*words, cwd=str(root), variables=variables)


@pytest.mark.parametrize("variable", ["HOME", "TMPDIR"])
def test_a_relative_path_to_a_place_is_not_shared_with_a_root_elsewhere(place: Place, variable: str) -> None:
    notes = place.base / "other" / variable.lower() / "notes"
    notes.parent.mkdir(parents=True)
    notes.write_text("")
    script = f'realpath --relative-to=. "${variable}/notes"'
    for root, ended in in_two_roots(place, script, **{variable: str(notes.parent)}):
        assert ended.stdout.decode().strip() == os.path.relpath(notes, root), ended.outcome


def test_a_result_without_one_is(place: Place) -> None:
    assert [ended.outcome for _, ended in in_two_roots(place, "echo ../../here")] == ["miss", "hit"]

# SPDX-License-Identifier: Apache-2.0
"""A result that shows the way from the root to another place belongs to both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.exec.wrapper.place import Place

COMPUTED = 'realpath --relative-to=. "$HOME/notes"'


@pytest.mark.parametrize("variable", ["HOME", "TMPDIR"])
def test_a_relative_path_to_a_place_is_not_shared_with_a_root_elsewhere(place: Place, variable: str) -> None:
    other = place.base / "other" / variable.lower()
    other.mkdir(parents=True)
    (other / "notes").write_text("")
    script = COMPUTED.replace("HOME", variable)
    said = {}
    for name in ("one", "deep/down/below"):
        folder = place.base / name
        folder.mkdir(parents=True)
        options = ("--portable", "--root", str(folder))
        ended = place.run(
            *options,
            "--",
            "sh",
            "-c",
            script,
            cwd=os.path.relpath(folder, place.root),
            variables={variable: str(other)},
        )
        said[name] = ended.stdout.decode().strip()
        assert said[name] == os.path.relpath(other / "notes", folder), ended.outcome


def test_a_result_without_one_is(place: Place) -> None:
    outcomes = []
    for name in ("one", "deep/down/below"):
        folder = Path(place.base / name)
        folder.mkdir(parents=True)
        ended = place.run(
            "--portable",
            "--root",
            str(folder),
            "--",
            "sh",
            "-c",
            "echo ../../here",
            cwd=os.path.relpath(folder, place.root),
        )
        outcomes.append(ended.outcome)
    assert outcomes == ["miss", "hit"]

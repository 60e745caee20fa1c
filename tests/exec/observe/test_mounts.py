# SPDX-License-Identifier: Apache-2.0
"""Which mounts below a root are left out of its snapshot: those that a run can change through no path."""

from __future__ import annotations

import json
import subprocess
import sys
from ast import literal_eval
from typing import TYPE_CHECKING

import pytest

from tests.support.executors import host_folders, top_links

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.bubblewrap

ASK = """\
import json, sys
from pytrace_exec.observe.mounts import mounts_below
from pytrace_exec.observe.snapshot import Snapshot
fixed, inside = mounts_below(sys.argv[1].encode())
snapshot = Snapshot.take([sys.argv[1].encode()])
paths = [path.decode() for path in snapshot.stats]
print(json.dumps([sorted(map(bytes.decode, fixed)), sorted(map(bytes.decode, inside)), paths, snapshot.complete]))
"""


def test_only_what_cannot_change_is_left_out(tmp_path: Path) -> None:
    root, other, host = tmp_path / "root", tmp_path / "other", tmp_path / "host"
    for folder in (
        root / "fixed",
        root / "own",
        root / "again",
        root / "with blank",
        root / "proc",
        host / "deep",
        other,
    ):
        folder.mkdir(parents=True)
    for file in (root / "own" / "file", host / "read", other / "file"):
        file.touch()
    mounts: list[tuple[str | Path, ...]] = [("--ro-bind", path, path) for path in host_folders()]
    mounts += [("--symlink", target, f"/{name}") for name, target in top_links().items()]
    mounts += [
        ("--proc", "/proc"),
        ("--bind", root, root),
        ("--ro-bind", host, root / "fixed"),
        ("--bind", other, root / "fixed" / "deep"),
        ("--ro-bind", root / "own", root / "again"),
        ("--ro-bind", host, root / "with blank"),
        ("--proc", root / "proc"),
    ]
    words = [str(word) for mount in mounts for word in mount]
    asked = ["bwrap", *words, sys.executable, "-c", ASK, str(root)]
    fixed, inside, paths, complete = json.loads(
        subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    )
    shown = {path.removeprefix(f"{root}/") for path in paths}
    assert [path for path in fixed if not path.startswith(f"{root}/proc")] == [
        f"{root}/fixed", f"{root}/with blank"
    ]  # fmt: skip
    assert inside == [f"{root}/fixed/deep"]
    assert complete
    assert {"fixed", "fixed/deep/file", "own/file", "again/file", "proc", "with blank"} <= shown
    assert not {path for path in shown if path.startswith("proc/")} | (shown & {"fixed/read", "with blank/read"})


def test_other_places_of_a_folder(tmp_path: Path) -> None:
    """A folder is also where it, one above it or one below it is mounted."""
    folder = tmp_path / "above" / "top"
    places = [tmp_path / name for name in ("itself", "one above", "below", "beside")]
    for path in (folder / "in", *places):
        path.mkdir(parents=True)
    sources = (folder, folder.parent, folder / "in", tmp_path / "beside")
    mounts = [word for pair in zip(sources, places, strict=True) for word in ("--bind", *map(str, pair))]
    ask = "import sys; from pytrace_exec.observe.mounts import other_places; print(other_places(sys.argv[1].encode()))"
    asked = ["bwrap", "--dev-bind", "/", "/", *mounts, sys.executable, "-c", ask, str(folder)]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    expected = [str(places[0]), str(places[1] / "top"), str(places[2])]
    assert [place for place in map(bytes.decode, literal_eval(told)) if place.startswith(str(tmp_path))] == expected

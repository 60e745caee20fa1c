# SPDX-License-Identifier: Apache-2.0
"""Entries are shared between folders, users, with and without a sandbox, and beside Bazel's own remote cache."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from tests.support.bazel import BAZEL, running_bazel
from tests.support.other_users import FIRST, SECOND, User, installation
from tests.support.server import running_server
from tests.support.traced_workspace import TracedBuild, TracedWorkspace, bazel_root

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.soak,
    pytest.mark.bazel,
    pytest.mark.skipif(BAZEL is None, reason="Bazel is not installed (Debian: bazel-bootstrap)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root, to be others"),
]

BUILD = """\
load("@pytrace//rules:traced_genrule.bzl", "traced_genrule")
load("@pytrace//rules:traced_run.bzl", "traced_run")

traced_genrule(
    name = "shell",
    srcs = ["read.txt"],
    outs = ["shell.txt"],
    cmd = "cat $(location read.txt) {outside} > $@",
)

traced_genrule(
    name = "compiled",
    srcs = ["main.c", "main.h"],
    outs = ["main.o"],
    cmd = "gcc -O1 -c $(location main.c) -o $@",
)

traced_run(
    name = "script",
    srcs = ["script.py", "helper.py", ":shell"],
    outs = ["script.txt"],
    arguments = ["-B", "$(location script.py)", "$(location :shell)", "$@"],
    program = "/usr/bin/python3",
)

traced_run(
    name = "folder",
    srcs = [":script"],
    out_dirs = ["made"],
    arguments = ["-c", "mkdir $(DIR:made)/deep; cp $(location :script) $(DIR:made)/deep/copy"],
    program = "sh",
)
"""
FILES = {
    "pkg/read.txt": "read\n",
    "pkg/main.c": '#include "main.h"\nint main(void) { return VALUE; }\n',
    "pkg/main.h": "#define VALUE 0\n",
    "pkg/script.py": "import sys, helper\nopen(sys.argv[2], 'w').write(helper.twice(open(sys.argv[1]).read()))\n",
    "pkg/helper.py": "def twice(text):\n    return text + text\n",
}
TRACED = {"//pkg:shell", "//pkg:compiled", "//pkg:script", "//pkg:folder"}


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that every user reaches and no sandbox may write; pytest's own are root's."""
    with tempfile.TemporaryDirectory(prefix="pytrace-sharing-", dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@attrs.frozen
class Workspaces:
    """Makes workspaces of one text in folders of their own, over one remote, and builds them."""

    place: Path
    programs: Path
    url: str

    def build(self, name: str, user: User, *options: str, **attributes: object) -> TracedBuild:
        """Build all in a fresh folder with a fresh store and a fresh output base.

        `{place}` in options and attributes is the folder of the store and of the log.
        """
        folder = user.home / name
        workspace = TracedWorkspace(folder / "workspace", folder / "writable")
        workspace.store.mkdir(parents=True)
        given = {"pytrace_exec": str(self.programs / "pytrace-exec"), "remote": self.url, **attributes}
        workspace.write(
            {**FILES, "pkg/BUILD": BUILD.replace("{outside}", str(self.place / "outside"))}, "traced", **given
        )
        user.own(folder)
        with bazel_root(folder / "root") as root:
            user.own(root)
            with running_bazel(workspace.folder, root, "base", user=user) as bazel:
                words = (option.replace("{place}", str(workspace.place)) for option in options)
                built = workspace.build(bazel, "//...", *words, status=False)
                assert built.build.status == 0, built.build.log
                assert workspace.read("pkg/made/deep/copy") == "read\noutside\nread\noutside\n"
        return built


@pytest.fixture
def workspaces(open_place: Path, tmp_path: Path) -> Iterator[Workspaces]:
    programs = installation(open_place, User.at_home(61003, open_place))
    (open_place / "outside").write_text("outside\n")
    with running_server(tmp_path / "cas") as server:
        yield Workspaces(open_place, programs, server.grpc_url)


HITS = dict.fromkeys(TRACED, "hit")
INSIDE = {"store": "/srv/store", "options": ["--stats-log", "/srv/log"]}
MOUNTED = ("--sandbox_add_mount_pair={place}:/srv", "--sandbox_writable_path=/srv")


def test_what_makes_no_difference(workspaces: Workspaces, open_place: Path) -> None:
    first, second = (User.at_home(number, open_place) for number in (FIRST, SECOND))
    cold = workspaces.build("cold", first)
    assert cold.outcomes == dict.fromkeys(TRACED, "miss"), cold.lines
    assert workspaces.build("elsewhere", first).outcomes == HITS
    assert workspaces.build("another", second).outcomes == HITS
    cached = workspaces.build("cached", second, f"--remote_cache={workspaces.url}")
    assert cached.outcomes == HITS
    assert "remote cache hit" not in cached.build.log, "Bazel's own cache has no part in traced actions"
    assert workspaces.build("mounted", second, *MOUNTED, **INSIDE).outcomes == HITS
    # Python looks whether its script is a link: in the sandbox it is.
    local = workspaces.build("local", second, "--spawn_strategy=local")
    assert local.outcomes == {**HITS, "//pkg:script": "miss"}
    assert workspaces.build("local-elsewhere", first, "--spawn_strategy=local").outcomes == HITS


def test_kept_in_the_remote_only(workspaces: Workspaces, open_place: Path) -> None:
    users = [User.at_home(number, open_place) for number in (FIRST, SECOND)]
    kept = [Path(f"/tmp/pytrace-bazel-{user.number}") for user in users]
    try:
        for user, outcome in zip(users, ("miss", "hit"), strict=True):
            built = workspaces.build("remote", user, remote_only=True, store="")
            assert built.outcomes == dict.fromkeys(TRACED, outcome)
        assert all(place.stat().st_uid == user.number for place, user in zip(kept, users, strict=True))
    finally:
        for place in kept:
            shutil.rmtree(place, ignore_errors=True)

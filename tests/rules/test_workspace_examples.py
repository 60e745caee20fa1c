# SPDX-License-Identifier: Apache-2.0
"""Every workspace of `WORKSPACE-examples/`: cold, warm in place, warm from another folder, as its README says."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from pytrace_exec.bazel.rules_folder import rules_folder
from tests.support.bazel import BAZEL, running_bazel
from tests.support.other_users import FIRST, SECOND, User, installation
from tests.support.runner import wrapper_command
from tests.support.server import running_server
from tests.support.tools import BAZEL_2
from tests.support.traced_workspace import TracedWorkspace, bazel_root

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.soak,
    pytest.mark.bazel,
    pytest.mark.skipif(BAZEL is None, reason="Bazel is not installed (Debian: bazel-bootstrap)"),
]
EXAMPLES = Path(__file__).parents[2] / "WORKSPACE-examples"


@attrs.frozen
class Case:
    """An example: its traced actions, what is changed in the end, and what that does."""

    name: str
    actions: int
    change: str = ""
    after: tuple[int, int] = (0, 0)


HEADER = Path("/tmp/pytrace-example/limits_of_site.h")
CASES = (
    Case("genrule-with-undeclared-header", 2, str(HEADER), (1, 1)),
    Case("python-codegen", 1, "schemas/invoice.json"),
    Case("makefile-inside-bazel", 1, "project/greet.c", (1, 0)),
    pytest.param(Case("bioinformatics", 3, "second.fa", (1, 0)), marks=pytest.mark.hmmer),
    Case("shared-cache-two-workspaces/one", 2, "own.txt", (1, 0)),
)


@pytest.fixture(scope="module")
def output_user_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with bazel_root(tmp_path_factory.mktemp("bazel")) as root:
        yield root


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that every user reaches."""
    with tempfile.TemporaryDirectory(prefix="pytrace-examples-", dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def header() -> Iterator[None]:
    """What the first example does not declare."""
    HEADER.parent.mkdir(exist_ok=True)
    HEADER.write_text("#define LIMIT 1\n")
    yield
    HEADER.unlink()
    HEADER.parent.rmdir()


def placed(name: str, folder: Path, place: Path, **given: str) -> TracedWorkspace:
    """Put a copy of an example into a folder, over a store of the test's; `given`: more for `pytrace_repositories`."""
    shutil.copytree(EXAMPLES / name, folder)
    workspace = TracedWorkspace(folder, place)
    place.mkdir(exist_ok=True)
    text = (folder / "WORKSPACE").read_text()
    own = {
        "pytrace_exec": wrapper_command()[0],
        "store": str(workspace.store),
        "options": ["--stats-log", str(workspace.log)],
        **given,
    }
    attributes = ", ".join(f"{key} = {json.dumps(value)}" for key, value in own.items())
    text = text.replace("pytrace_repositories()", f"pytrace_repositories({attributes})")
    path = next(line for line in text.splitlines() if line.strip().startswith("path ="))
    (folder / "WORKSPACE").write_text(text.replace(path, f'path = "{rules_folder()}",'))
    return workspace


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace("/", "-"))
def test_an_example(case: Case, tmp_path: Path, output_user_root: Path, header: None) -> None:
    place = tmp_path / "writable"
    workspace = placed(case.name, tmp_path / "first", place)
    with running_bazel(workspace.folder, output_user_root, "first") as bazel:
        cold = workspace.build(bazel, "//...")
        assert cold.build.status == 0, cold.build.log
        assert (cold.count("miss"), cold.count("hit")) == (case.actions, 0), cold.lines
        bazel.build(command="clean")
        warm = workspace.build(bazel, "//...")
        assert (len(warm.lines), warm.count("hit")) == (case.actions, case.actions), warm.lines
    elsewhere = placed(case.name, tmp_path / "somewhere" / "else", place)
    with running_bazel(elsewhere.folder, output_user_root, "second") as bazel:
        shared = elsewhere.build(bazel, "//...")
        assert (len(shared.lines), shared.count("hit")) == (case.actions, case.actions), shared.lines
        changed = Path(case.change) if case.change.startswith("/") else elsewhere.folder / case.change
        changed.write_text(changed.read_text().replace("1", "2") if case.change.endswith(".h") else _other(changed))
        after = elsewhere.build(bazel, "//...")
        assert (after.count("miss"), after.count("hit")) == case.after, after.lines


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root, to be others")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace("/", "-"))
def test_an_example_as_another_user(case: Case, tmp_path: Path, open_place: Path, header: None) -> None:
    """Each has a store and an output root of his own, and both a remote."""
    users = [User.at_home(number, open_place) for number in (FIRST, SECOND)]
    program = installation(open_place, users[0]) / "pytrace-exec"
    counts = []
    with running_server(tmp_path / "cas") as server:
        for user in users:
            folder, place = user.home / "workspace", user.home / "writable"
            workspace = placed(case.name, folder, place, pytrace_exec=str(program), remote=server.grpc_url)
            user.own(user.home)
            with bazel_root(user.home / "root") as root:
                user.own(root)
                with running_bazel(folder, root, "base", user=user) as bazel:
                    built = workspace.build(bazel, "//...", status=False)
                    assert built.build.status == 0, built.build.log
                    counts.append((built.count("miss"), built.count("hit")))
    assert counts == [(case.actions, 0), (0, case.actions)]


def _other(file: Path) -> str:
    text = file.read_text()
    return (
        text.replace("name", "title")
        if file.suffix == ".json"
        else text.replace("hello", "bye").replace(">beta", ">b") + "\n"
    )


def test_two_workspaces_share(tmp_path: Path, output_user_root: Path) -> None:
    counts = []
    for name in ("one", "two"):
        workspace = placed(f"shared-cache-two-workspaces/{name}", tmp_path / name, tmp_path / "writable")
        with running_bazel(workspace.folder, output_user_root, name) as bazel:
            built = workspace.build(bazel, "//...")
            assert built.build.status == 0, built.build.log
            counts.append(built.outcomes)
    assert counts == [{"//:shared": "miss", "//:own": "miss"}, {"//:shared": "hit", "//:own": "miss"}]


def test_the_audit_finds_what_its_readme_says(tmp_path: Path, output_user_root: Path) -> None:
    workspace = placed("audit", tmp_path / "audit", tmp_path / "writable")
    with running_bazel(workspace.folder, output_user_root, "audit") as bazel:
        built = workspace.build(bazel, "//:report")
        assert built.build.status == 0, built.build.log
        found = json.loads(workspace.read("report.json"))["findings"]
        assert json.loads(workspace.read("report.sarif"))["version"] == "2.1.0"
    assert {(one["target"], one["kind"], one["subject"].rpartition("/")[2]) for one in found} == {
        ("//:host_file", "undeclared_file", "hostname"),
        ("//:environment", "environment", "RELEASE"),
        ("//:unused", "unused_input", "unread.txt"),
        ("//:varies", "not_reproducible", "varies.txt"),
    }


@pytest.mark.npm
@pytest.mark.parametrize("version", ["4.2.3", "2.1.0"])
def test_remote_cache_only(tmp_path: Path, output_user_root: Path, version: str) -> None:
    program = (
        BAZEL if version == "4.2.3" else BAZEL_2.program("node_modules/@bazel/bazel-linux_x64/bazel-2.1.0-linux-x86_64")
    )
    ran = []
    with running_server(tmp_path / "store") as server:
        for number in range(2):
            folder = tmp_path / f"folder{number}"
            shutil.copytree(EXAMPLES / "remote-cache-only", folder)
            with running_bazel(folder, output_user_root, f"{version}-{number}", program) as bazel:
                build = bazel.build("//...", f"--remote_cache={server.grpc_url}")
                assert build.status == 0, build.log
                ran.append(build.processes.get("remote cache hit", 0))
    assert ran == [0, 20]

# SPDX-License-Identifier: Apache-2.0
"""What is recorded, and what is not: failures, untracked files, the network, git's history, several steps."""

from __future__ import annotations

import socket
import sys
import threading
from typing import Any

import pytest

from tests.support.repositories import Repository

pytestmark = [pytest.mark.git, pytest.mark.native]

JOB = ("sh", "-c", "cat src/a")


def test_failures_are_never_recorded(repository: Repository) -> None:
    failed = repository.run("sh", "-c", "cat src/a; exit 3")
    assert (failed.status, failed.json["recorded"]) == (3, None)
    assert repository.run("sh", "-c", "kill -9 $$").status == 137
    late = repository.run("sleep", "60", options=("--timeout", "200ms"))
    assert (late.status != 0, late.json["recorded"]) == (True, None)
    assert repository.check().codes == ["no_record"]


def test_a_job_that_fails_where_it_had_succeeded(repository: Repository) -> None:
    """A flaky job: its record serves no more, until it has succeeded again."""
    flaky = ("sh", "-c", f"cat src/a; test ! -e {repository.pytrace.base}/broken")
    repository.recorded(*flaky)
    (repository.pytrace.base / "broken").touch()
    assert repository.run(*flaky).json["skip"]
    assert repository.run(*flaky, options=("--force",)).status == 1
    assert repository.check().codes == ["no_record"]
    (repository.pytrace.base / "broken").unlink()
    repository.recorded(*flaky)
    assert repository.check().status == 0


def test_records_that_are_withdrawn(repository: Repository) -> None:
    """Somebody knows better: the record serves nobody any more, and the next run is recorded again."""
    first = repository.recorded(*JOB).json["recorded"]
    repository.commit(src__a="A\n")
    repository.recorded(*JOB)
    withdraw = ("ci", "withdraw", "--workflow", "w")
    assert repository.pytrace(*withdraw).status == 2
    assert repository.pytrace(*withdraw, "ffff").status == 20
    assert repository.pytrace(*withdraw, first[:8], "--json").json["withdrawn"] == [first]
    assert (repository.check("HEAD~1").status, repository.check().status) == (1, 0)
    assert len(repository.pytrace(*withdraw, "--all").stdout.splitlines()) == 1
    assert repository.check().codes == ["no_record"]
    repository.recorded(*JOB)


def test_force_and_a_word_in_the_message(repository: Repository) -> None:
    repository.recorded(*JOB)
    assert repository.check("HEAD", "--force").codes == ["forced"]
    repository.commit("everything [full ci]")
    assert repository.check().codes == ["forced"]
    assert repository.recorded(*JOB).stdout.startswith("a\n")
    repository.commit("as always")
    assert repository.check().status == 0


def test_max_age_and_max_skips(repository: Repository) -> None:
    repository.recorded(*JOB)
    assert repository.check("HEAD", "--max-age", "1h").status == 0
    assert [repository.check("HEAD", "--max-skips", "2").status for _ in range(3)] == [0, 0, 1]
    assert repository.check("HEAD", "--max-skips", "2").codes == ["max_skips"]
    repository.recorded(*JOB, options=("--max-age", "1ms"))
    assert set(repository.check("HEAD", "--max-skips", "2").codes) == {"max_skips", "age"}


def test_untracked_files(repository: Repository) -> None:
    repository.commit(_DOT_gitignore="*.tmp\n")
    repository.write(cache__x="restored\n", kept_DOT_tmp="ignored\n")
    refused = repository.run("cat", "cache/x", "kept.tmp")
    assert (refused.status, len(refused.json["not_recorded"])) == (0, 2)
    repository.recorded("cat", "cache/x", "kept.tmp", options=("--allow-untracked", "cache", "--allow-untracked=*.tmp"))
    assert repository.check().status == 0
    assert repository.check(repo=repository.clone("bare", "--bare")).codes == ["untracked"] * 2
    repository.write(cache__x="another\n")
    assert repository.check().paths == ["cache/x"]


def test_a_tracked_file_that_was_changed(repository: Repository) -> None:
    repository.write(src__a="not committed\n")
    assert "as in the commit: src/a" in repository.run(*JOB).json["not_recorded"][0]
    repository.recorded("cat", "src/b")


def test_a_command_that_is_none(repository: Repository) -> None:
    """It ends as a shell has it; a job without a name is a mistake."""
    repository.write(text="no program\n")
    assert repository.run("no-such-program").status == 127
    assert repository.run("./text").status == 126
    for verb in (("run", "--", "true"), ("check",), ("explain",)):
        ended = repository.pytrace("ci", *verb, cwd=repository.path)
        assert (ended.status, "--workflow" in ended.stderr) == (2, True)


def test_a_file_on_standard_input(repository: Repository) -> None:
    words = ("ci", "run", "--workflow", "w", "--json", "--", "cat")
    ended = repository.pytrace(*words, cwd=repository.path, stdin=str(repository.path / "src/a"))
    assert (ended.status, ended.stdout.splitlines()[0], ended.json["recorded"]) == (0, "a", None)
    assert "standard input" in ended.json["not_recorded"][0]


def test_what_the_job_makes_is_no_input(repository: Repository) -> None:
    repository.recorded("sh", "-c", "mkdir -p out; sort src/a src/b > out/all; cat out/all; echo c >> src/b; ls . out")
    repository.git("checkout", "-q", ".")
    assert repository.check().status == 0
    repository.commit(src__b="B\n")
    assert "src/b" in repository.check().paths


def _answer(server: socket.socket, times: int) -> None:
    for _ in range(times):
        server.accept()[0].close()


def test_the_network_is_named(repository: Repository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answering = threading.Thread(target=_answer, args=(server, 3), daemon=True)
        answering.start()
        job = (sys.executable, "-S", "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}))")
        assert f"127.0.0.1:{port}" in repository.run(*job).json["not_recorded"][0]
        assert repository.run(*job, options=("--allow-network", "192.0.2.1")).json["recorded"] is None
        repository.recorded(*job, options=("--allow-network", "127.0.0.1"))
        answering.join()
    record = repository.pytrace("ci", "ls", "--json").json["records"][0]
    assert (record["hosts"], record["max_age"]) == ([f"127.0.0.1:{port}"], 86400)


def test_files_outside_are_in_the_fingerprint_only(repository: Repository) -> None:
    tool = repository.pytrace.base / "tool"
    tool.write_text("1")
    job = ("sh", "-c", f"cat src/a {tool}")
    repository.recorded(*job)
    tool.write_text("2")
    assert repository.check().status == 0
    repository.recorded(*job, options=("--force", "--fingerprint-outside"))
    assert repository.check("HEAD", "--fingerprint-outside").status == 0
    tool.write_text("3")
    assert set(repository.check("HEAD", "--fingerprint-outside").codes) == {"outside"}


def test_git_history(repository: Repository) -> None:
    """What tells the commit serves that commit; what tells tags is not recorded; the index is the whole tree."""
    repository.recorded("git", "rev-parse", "HEAD")
    assert repository.check().status == 0
    # Nobody knows there on which branch the job would find itself.
    assert repository.check(repo=repository.clone("bare", "--bare")).codes == ["commit"]
    repository.commit(README="other\n")
    assert repository.check().codes == ["commit"]
    repository.git("tag", "v1")
    assert "history" in repository.run("git", "describe", "--tags").json["not_recorded"][0]
    repository.recorded("git", "ls-files", options=("--allow-history",))
    repository.commit(docs__new="\n")
    assert "docs/new" in repository.check().paths


def test_steps_share_a_record(repository: Repository) -> None:
    """Step 2 reads what step 1 made; only when all of them are there does the job have a record."""
    first, second = ("sh", "-c", "sort src/a > made"), ("sh", "-c", "cat made src/b; ls .")
    step = ("--step", "1/2"), ("--step", "2/2")
    assert repository.run(*first, options=step[0]).json["not_recorded"] == []
    assert repository.check().codes == ["no_record"]
    repository.recorded(*second, options=step[1])
    assert repository.check().status == 0
    assert repository.run(*first, options=step[0]).json["skip"]
    assert repository.run(*second, options=step[1]).json["skip"]
    (repository.path / "made").unlink()
    repository.commit(src__b="B\n")
    assert not repository.run(*first, options=step[0]).json["skip"]
    repository.recorded(*second, options=step[1])
    repository.commit(src__a="A\n")
    assert "src/a" in repository.check().paths


def test_a_step_without_those_before_it(repository: Repository) -> None:
    assert "step 1/2" in repository.run(*JOB, options=("--step", "2/2")).json["not_recorded"][0]
    assert repository.run("false", options=("--step", "1/2")).status == 1
    assert repository.run(*JOB, options=("--step", "2/2")).json["recorded"] is None
    assert repository.run(*JOB, options=("--step", "3/2")).status == 2


def test_streams_and_status_are_the_commands(repository: Repository) -> None:
    ended = repository.pytrace(
        "ci", "run", "--workflow", "w", "--", "sh", "-c", "echo o; echo e >&2", cwd=repository.path
    )
    assert (ended.status, ended.stdout) == (0, "o\n")
    assert "e\n" in ended.stderr
    assert repository.run("no-such-program").status != 0


def test_ls_and_explain(repository: Repository) -> None:
    repository.recorded(*JOB)
    digest = repository.pytrace("ci", "ls", "--json").json["records"][0]["digest"]
    told = repository.pytrace("ci", "explain", "--workflow", "w", "--json", digest[:8]).json
    assert {"path": "src/a", "counts": "content"} in told["paths"]
    words = ("ci", "explain", "--workflow", "w", "--repo", str(repository.path))
    assert repository.pytrace(*words).status == 0
    repository.commit(src__a="A\n")
    assert repository.pytrace(*words).status == 1
    assert "src/a" in repository.pytrace(*words).stdout
    assert repository.pytrace("ci", "explain", "--workflow", "none", "--repo", str(repository.path)).status == 20
    assert repository.pytrace("ci", "explain", "--workflow", "w", "abcd").status == 20


def test_what_earlier_steps_count_stays(repository: Repository) -> None:
    """Variables and age of the first step hold for the record of all of them."""
    first = ("--step", "1/2", "--env", "FOO", "--max-age", "1h")
    assert repository.run(*JOB, options=first, FOO="1").json["not_recorded"] == []
    repository.recorded("cat", "src/b", options=("--step", "2/2", "--max-age", "2h"), FOO="1")
    assert repository.pytrace("ci", "ls", "--json").json["records"][0]["max_age"] == 3600
    assert repository.check(FOO="1").status == 0
    assert repository.check(FOO="2").codes == ["variable"]


def test_a_network_without_addresses_expires(repository: Repository) -> None:
    """A netlink socket talks to no host; its record serves no longer for that."""
    talk = "import socket as s; s.socket(s.AF_NETLINK, s.SOCK_RAW, 0).bind((0, 0))"
    job = (sys.executable, "-S", "-c", talk)
    assert repository.run(*job).json["recorded"] is None
    repository.recorded(*job, options=("--allow-network",))
    assert repository.pytrace("ci", "ls", "--json").json["records"][0]["max_age"] == 86400


def test_names_in_an_untracked_folder(repository: Repository) -> None:
    repository.commit(_DOT_gitignore="cache\n")
    repository.write(cache__x="1\n")
    job, options = ("sh", "-c", "cat cache/*"), ("--allow-untracked", "cache")
    repository.recorded(*job, options=options)
    assert repository.run(*job, options=options).json["skip"]
    repository.write(cache__y="2\n")
    assert repository.check().paths == ["cache"]


def test_compiled_python_without_its_source(repository: Repository) -> None:
    """A module that is nothing but its bytecode is an input."""
    repository.write(lib__m_DOT_pyc="", lib____pycache____n_DOT_pyc="")
    refused = repository.run("cat", "lib/m.pyc").json["not_recorded"]
    assert any("lib/m.pyc" in reason for reason in refused)


def test_two_commands_of_one_name(repository: Repository) -> None:
    """In one run of a CI system: a check would take the one that succeeded for both."""
    about: dict[str, Any] = {"JENKINS_URL": "http://ci", "BUILD_URL": "http://ci/job/1"}
    repository.recorded(*JOB, **about)
    assert repository.check().status == 0
    failed = repository.run("false", **about)
    assert (failed.status, repository.check().codes) == (1, ["no_record"])
    again = repository.run("cat", "src/b", **about)
    assert "--step" in again.json["not_recorded"][0]
    repository.recorded(*JOB, **{**about, "BUILD_URL": "http://ci/job/2"})
    assert repository.check().status == 0


def test_by_way_of_a_process(repository: Repository) -> None:
    """What lies behind such a name is the repository's as well."""
    job = ("sh", "-c", "test -e /proc/self/cwd/absent || cat src/a")
    assert "/proc/self/cwd/absent" in repository.run(*job).json["not_recorded"][0]


def test_another_tool_behind_a_link(repository: Repository) -> None:
    base = repository.pytrace.base
    for version in ("1", "2"):
        (base / f"tool{version}").write_text(version)
    (base / "tool").symlink_to("tool1")
    job, options = ("cat", "src/a", str(base / "tool")), ("--fingerprint-outside",)
    repository.recorded(*job, options=options)
    assert repository.check().status == 0
    (base / "tool").unlink()
    (base / "tool").symlink_to("tool2")
    assert repository.check().codes == ["outside"]


@pytest.mark.parametrize(
    ("command", "recorded"), [("ls .git", False), ("ls -d .git", True), ("ls .git/info", True), ("ls -a", True)]
)
def test_listings_of_git(repository: Repository, command: str, recorded: bool) -> None:
    """Refs in one file or in many are the same at every commit, and not for who lists the files."""
    ended = repository.run(*command.split())
    assert bool(ended.json["recorded"]) == recorded, ended.stderr
    repository.git("tag", "one")
    repository.git("pack-refs", "--all")
    assert repository.check().json["skip"] == recorded


@pytest.mark.parametrize(
    ("command", "recorded"),
    [
        ("git rev-parse HEAD", True),
        ("git log -1 --format=%H", True),
        ("git status --porcelain", True),
        ("git branch --show-current", True),
        ("git ls-files", True),
        ("git diff --stat", True),
        ("git status", False),
        ("git log -1", False),
        ("git describe --always", False),
        ("git rev-parse --abbrev-ref HEAD", False),
    ],
)
def test_commands_of_git(repository: Repository, command: str, recorded: bool) -> None:
    """What the documentation says of each; what read HEAD serves its commit alone."""
    ended = repository.run(*command.split())
    assert bool(ended.json["recorded"]) == recorded, ended.stderr
    if recorded:
        assert repository.check().status == 0
        repository.commit("another", src__a="another\n")
        assert repository.check().status == 1


def test_what_tools_look_for_in_every_folder(repository: Repository) -> None:
    """Pytest asks of git's folder, too, whether it is a virtual environment: that ties no record to its commit."""
    repository.recorded("sh", "-c", "cat src/a; test -e .git/pyvenv.cfg; test -e .git/conda-meta/history; true")
    repository.commit("another", src__b="another\n")
    assert repository.check().status == 0
    repository.recorded("sh", "-c", "cat src/a; test -e .git/MERGE_HEAD; true", options=("--force",))
    repository.commit("and another", src__a="another\n")
    assert "commit" in repository.check().codes

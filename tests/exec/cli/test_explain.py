# SPDX-License-Identifier: Apache-2.0
"""`pytrace explain`, and the explanations of `pytrace-exec --explain`, over real runs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable

import attrs
import pytest

from pytrace_cas.digest import BLAKE3
from pytrace_cas.store import Store
from tests.exec.cli.project import Project, codes, settle
from tests.support.server import running_server

pytestmark = pytest.mark.strace

SEARCH = "cat one/x 2>/dev/null || cat two/x"


@attrs.frozen
class Case:
    """A script that was run in a project with `two/x`, a change, and the reasons that it is one."""

    name: str
    script: str
    change: Callable[[Project], object]
    expected: dict[str, str | None]


def _write(path: str, text: str = "other") -> Callable[[Project], None]:
    return lambda project: project.write(**{path: text})


def _tool(text: str) -> Callable[[Project], None]:
    def change(project: Project) -> None:
        tool = project.root / "tool"
        tool.write_text(f"#!/bin/sh\necho {text}\n")
        tool.chmod(0o755)
        settle()

    return change


CASES = (
    Case("input changed", "cat two/x", _write("two__x"), {"inputs_changed": "two/x"}),
    Case("new file before the old one", SEARCH, _write("one__x"), {"new_file": "one/x"}),
    Case("input removed", SEARCH, lambda project: (project.root / "two/x").unlink(), {"input_removed": "two/x"}),
    Case("listing changed", "echo two/*", _write("two__y"), {"listing_changed": "two"}),
    Case(
        "link changed", "readlink link; cat link", lambda project: _relink(project, "two/z"), {"link_changed": "link"}
    ),
    Case("tool changed", "./tool", _tool("2"), {"tool_changed": "tool"}),
    Case("output differs", "[ -s y ] || echo y > y", _write("y"), {"output_differs": "y", "order_changed": None}),
    Case(
        "several at once",
        f"{SEARCH}; echo two/*; ./tool",
        lambda project: (_write("two__x")(project), _write("two__y")(project), _tool("3")(project)),
        {"inputs_changed": "two/x", "listing_changed": "two", "tool_changed": "tool"},
    ),
)


def _relink(project: Project, target: str) -> None:
    (project.root / "link").unlink(missing_ok=True)
    (project.root / "link").symlink_to(target)
    settle()


@pytest.fixture
def ready(project: Project) -> Project:
    """A project with something to look at."""
    project.write(two__x="x", two__z="z")
    _relink(project, "two/x")
    _tool("1")(project)
    return project


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_changed_is_named(ready: Project, case: Case) -> None:
    assert ready.wrapped("sh", "-c", case.script).status == 0
    assert ready.last()["outcome"] == "miss", ready.last()
    (ready.root / "y").unlink(missing_ok=True)  # what one of the scripts makes
    before = ready.pytrace("explain", "--json", "--", "sh", "-c", case.script)
    assert (before.status, before.json["outcome"], before.json["reasons"]) == (0, "hit", [])
    case.change(ready)
    after = ready.pytrace("explain", "--json", "--", "sh", "-c", case.script)
    told = {reason["code"]: reason["path"] for reason in after.json["reasons"]}
    assert (after.status, after.json["outcome"], told) == (1, "miss", case.expected)
    assert all(reason["old"] != reason["new"] for reason in after.json["reasons"])
    by_digest = ready.pytrace("explain", "--json", before.json["action"])
    assert (by_digest.status, {reason["code"]: reason["path"] for reason in by_digest.json["reasons"]}) == (1, told)


def test_the_wrapper_says_the_same(ready: Project) -> None:
    ready.wrapped("sh", "-c", SEARCH)
    ready.write(one__x="new")
    lines = ready.wrapped("sh", "-c", SEARCH).stderr.decode().splitlines()
    assert lines[0].startswith("pytrace: miss ")
    (reason,) = ready.last()["reasons"]
    assert lines[1:] == [f"pytrace: {reason['message']}"]
    assert (reason["code"], reason["path"]) == ("new_file", "one/x")
    assert reason["new"].endswith("/3")


def test_the_log_and_the_explanation_name_paths_alike(ready: Project) -> None:
    name = os.fsencode(ready.root) + b"/two/\xff"
    for content in (b"one", b"two"):
        with open(name, "wb") as file:
            file.write(content)
        settle()
        explained = ready.pytrace("explain", "--json", "--", "cat", b"two/\xff")
        ready.wrapped("cat", b"two/\xff")
    logged = ready.last()
    (reason,) = logged["reasons"]
    (told,) = explained.json["reasons"]
    assert {name: told[name] for name in reason} == reason
    assert (reason["path"], b64decode(reason["path_b64"])) == ("two/\N{REPLACEMENT CHARACTER}", b"two/\xff")
    assert [b64decode(word) for word in logged["command_b64"]] == [b"cat", b"two/\xff"]
    assert (logged["root"], logged["cwd"]) == (str(ready.root), str(ready.root))
    assert "\\ud" not in ready.log.read_text()


def test_a_long_argument_is_shown_in_part(ready: Project) -> None:
    ready.wrapped("echo", "a" * 50_000)
    lines = ready.wrapped("echo", "a" * 50_000 + "b").stderr.splitlines()
    assert max(map(len, lines)) < 1000
    (changed,) = [reason for reason in ready.last()["reasons"] if reason["code"] == "arguments_changed"]
    assert (len(changed["old"]), len(changed["new"])) == (50_005, 50_006)


def test_a_result_of_long_ago_is_the_nearest(ready: Project) -> None:
    """Of several stored results the one that shares most values with today is held against it."""
    script = "cat two/x two/z"
    ready.wrapped("sh", "-c", f"{script}; [ -e one ] && cat one")
    ready.write(two__x="2", two__z="2", one="2")
    ready.wrapped("sh", "-c", f"{script}; [ -e one ] && cat one")
    ready.write(two__z="3")
    found = ready.pytrace("explain", "--json", "--", "sh", "-c", f"{script}; [ -e one ] && cat one").json
    assert [(reason["code"], reason["path"]) for reason in found["reasons"]] == [("inputs_changed", "two/z")]


def test_the_command_changed(ready: Project) -> None:
    ready.wrapped("cat", "two/x", MODE="fast")
    explained = ready.pytrace("explain", "--json", "--", "cat", "two/x", MODE="slow").json
    (reason,) = explained["reasons"]
    assert (reason["code"], reason["name"], reason["old"], reason["new"]) == (
        "environment_changed",
        "MODE",
        "fast",
        "slow",
    )
    unset = ready.pytrace("explain", "--json", "--", "cat", "two/x").json["reasons"]
    assert [(reason["code"], reason["new"]) for reason in unset] == [("environment_changed", None)]
    elsewhere = ready.pytrace("explain", "--json", "--", "cat", "two/x", cwd="root/two", MODE="fast")
    assert (elsewhere.status, codes(elsewhere.json)[0]) == (1, "directory_changed")
    other = ready.pytrace("explain", "--json", "--", "cat", "two/z", MODE="fast")
    assert (other.status, codes(other.json)) == (20, ["never_seen", "arguments_changed"])
    ready.write(two__x="other")
    both = ready.pytrace("explain", "--json", "--", "cat", "two/x", MODE="slow").json
    assert set(codes(both)) == {"environment_changed", "inputs_changed"}


def test_a_secret_is_never_told(ready: Project) -> None:
    ready.wrapped("cat", "two/x", API_TOKEN="first-secret")
    done = ready.pytrace("explain", "--json", "--", "cat", "two/x", API_TOKEN="second-secret")
    (reason,) = done.json["reasons"]
    assert reason["name"] == "API_TOKEN"
    assert b"-secret" not in done.stdout


def test_never_seen(project: Project) -> None:
    assert project.pytrace("explain", "--", "true").status == 10  # there is not even a store
    project.wrapped("true")
    done = project.pytrace("explain", "--json", "--", "false")
    assert (done.status, done.json["outcome"], codes(done.json)) == (20, "never_seen", ["never_seen"])
    assert project.pytrace("explain", "0123456789").status == 20


def test_it_belongs_to_its_checkout(ready: Project) -> None:
    command = ("sh", "-c", "pwd; cat two/x")
    ready.wrapped(*command)
    shutil.copytree(ready.root, ready.base / "second", symlinks=True)
    settle()
    done = ready.pytrace("explain", "--json", "--", *command, cwd="second")
    assert done.status == 1
    told = {reason["name"]: reason["new"] for reason in done.json["reasons"] if reason["code"] == "belongs_to_checkout"}
    assert told["root"] == str(ready.base / "second")


@pytest.mark.compiler
def test_debug_information_belongs_to_its_checkout(project: Project) -> None:
    project.write(**{"main.c": "int main(void) { return 0; }\n"})
    for flags in ((), ("-g",)):
        assert project.wrapped("gcc", *flags, "-c", "main.c").status == 0
    shutil.copytree(project.root, project.base / "second")
    (project.base / "second/main.o").unlink()
    settle()
    assert project.pytrace("explain", "--", "gcc", "-c", "main.c", cwd="second").status == 0
    done = project.pytrace("explain", "--json", "--", "gcc", "-g", "-c", "main.c", cwd="second")
    assert (done.status, set(codes(done.json))) == (1, {"belongs_to_checkout"})


def test_outputs_that_are_missing(ready: Project) -> None:
    ready.wrapped("cat", "two/x")
    action = ready.last()["action"]
    with sqlite3.connect(ready.store / "index.sqlite") as index:
        index.execute("DELETE FROM blobs WHERE hash = ?", (bytes.fromhex(BLAKE3.of(b"x").hash),))
    index.close()
    done = ready.pytrace("explain", "--json", "--", "cat", "two/x")
    assert (done.status, codes(done.json)) == (1, ["outputs_missing"])
    assert done.json["reasons"][0]["old"] == action


def test_options_that_decide(ready: Project) -> None:
    ready.wrapped("cat", "two/x", options=("--env", "HOSTNAME"), HOSTNAME="here")
    assert ready.pytrace("explain", "--env", "HOSTNAME", "--", "cat", "two/x", HOSTNAME="here").status == 0
    assert ready.pytrace("explain", "--", "cat", "two/x", HOSTNAME="here").status == 1
    strict = ready.pytrace("explain", "--json", "--strict", "--env", "HOSTNAME", "--", "cat", "two/x", HOSTNAME="here")
    assert (strict.status, codes(strict.json)) == (1, ["options_changed"])


def test_our_own_descriptors_say_nothing(ready: Project) -> None:
    with open(os.devnull, "wb") as null:
        command = [sys.executable, "-c", "from pytrace_exec.wrapper import main; main()", "--", "cat", "two/x"]
        subprocess.run(command, stdin=null, stdout=null, cwd=ready.root, env=ready.environment(), check=True)
    assert ready.pytrace("explain", "--", "cat", "two/x").status == 0
    assert ready.pytrace("explain", "latest").status == 0
    other = ready.pytrace("explain", "--json", "--", "cat", "two/x", MODE="slow").json
    assert codes(other) == ["environment_changed"]


def test_a_remote_is_asked_as_well(ready: Project) -> None:
    with running_server(ready.base / "server") as server:
        ready.wrapped("cat", "two/x", options=("--remote", server.grpc_url))
        assert ready.last()["outcome"] == "miss", ready.last()
        empty = {"PYTRACE_DIR": str(ready.base / "another"), "PYTRACE_REMOTE": server.grpc_url}
        assert ready.pytrace("explain", "--", "cat", "two/x", **empty).status == 0
        assert ready.pytrace("explain", "--", "cat", "two/z", **empty).status == 20
        assert not (ready.base / "another").exists()
    gone = ready.pytrace("explain", "--", "cat", "two/z", **empty)
    assert (gone.status, gone.stderr.count(b"\n")) == (13, 1)


def test_a_run_that_was_not_stored(ready: Project) -> None:
    """The call, the process, the program and the path are told, until a run is stored."""
    command = ("sh", "-c", "echo x > ../home/outside; cat two/x; [ ! -e fail ] || exit 3")
    ready.write(fail="")
    ready.wrapped(*command)
    assert ready.last()["outcome"] == "not_stored"
    done = ready.pytrace("explain", "--json", "--", *command)
    assert (done.status, set(codes(done.json))) == (1, {"not_stored"})
    why = {reason["why"]: reason for reason in done.json["reasons"]}
    assert set(why) == {"wrote_outside", "exit_status"}
    outside = why["wrote_outside"]
    assert outside["path"] == str(ready.base / "home/outside")
    assert (outside["call"], outside["program"]) == ("openat", os.path.realpath("/bin/sh")), outside
    assert outside["pid"] > 0
    logged = {reason["code"]: reason for reason in ready.last()["reasons"]}
    assert logged["wrote_outside"]["program"] == outside["program"]
    (ready.root / "fail").unlink()
    ready.wrapped(*command, options=("-o", "../home"))
    assert ready.last()["outcome"] == "miss", ready.last()
    assert ready.pytrace("explain", "--output", "../home", "--", *command).status == 0


def test_two_commands_that_claim_one_output(ready: Project) -> None:
    first, second = (("sh", "-c", f"[ -s out ] && cat out; echo {word} > out") for word in ("one", "two"))
    ready.wrapped(*first)
    (ready.root / "out").unlink()
    ready.wrapped(*second)
    done = ready.pytrace("explain", "--json", "--", *first)
    conflict = {reason["code"]: reason for reason in done.json["reasons"]}["output_conflict"]
    assert (done.status, conflict["path"], conflict["command"]) == (1, "out", [*second])
    assert conflict["new"] == ready.last()["action"]


def test_what_changed_is_shown(ready: Project) -> None:
    """The earlier text is what another command made, or what git has."""
    ready.wrapped("sh", "-c", "echo old > made")
    subprocess.run(["git", "init", "-q"], cwd=ready.root, check=True)
    subprocess.run(["git", "add", "two/x"], cwd=ready.root, check=True)
    settle()
    ready.wrapped("cat", "made", "two/x")
    assert ready.last()["outcome"] == "miss", ready.last()
    ready.write(made="new\n", two__x="changed")
    done = ready.pytrace("explain", "--json", "--", "cat", "made", "two/x")
    diffs = {reason["path"]: reason.get("diff") for reason in done.json["reasons"]}
    assert diffs["made"][3:] == ["-old", "+new"]
    assert diffs["two/x"][3:] == ["-x (no newline at the end)", "+changed (no newline at the end)"]
    text = ready.pytrace("explain", "--", "cat", "made", "two/x").stdout.decode()
    assert ("    -old" in text, "Inputs changed" in text) == (True, True)


def test_of_a_listing_the_names(ready: Project) -> None:
    ready.wrapped("sh", "-c", "echo two/*")
    (ready.root / "two/z").unlink()
    ready.write(two__new="")
    (reason,) = ready.pytrace("explain", "--json", "--", "sh", "-c", "echo two/*").json["reasons"]
    assert (reason["came"], reason["went"], reason["changed"]) == (["new"], ["z"], [])
    assert "came: new; went: z" in reason["message"]


def test_a_tool_of_the_system(ready: Project) -> None:
    """A program of a package in the place of one of nobody's."""
    tool = ready.root / "tool"
    ready.wrapped("./tool")
    settle()
    tool.unlink()
    tool.symlink_to("/bin/echo")
    settle()
    reasons = ready.pytrace("explain", "--json", "--", "./tool").json["reasons"]
    changed = [reason for reason in reasons if reason["code"] == "tool_changed"]
    assert [reason["package"] for reason in changed if reason["path"] == "tool"] in (["coreutils"], [])
    assert changed


def test_a_result_of_long_ago_is_found_through_the_index(ready: Project) -> None:
    """Hundreds of results that were stored since hide nothing, whatever they are."""
    ready.wrapped("cat", "two/x", MODE="fast")
    with Store.open(str(ready.store)) as store:
        for number in range(300):
            store.put_action_result(BLAKE3, "", BLAKE3.of(b"%d" % number), b"\x20\x01", [])
    ready.write(two__x="other")
    ready.wrapped("cat", "two/x", MODE="fast")
    found = ready.pytrace("explain", "--json", "--", "cat", "two/x", MODE="slow").json
    assert [(reason["code"], reason["name"]) for reason in found["reasons"]] == [("environment_changed", "MODE")]
    ready.write(two__x="x")
    found = ready.pytrace("explain", "--json", "--", "cat", "two/x", MODE="slow").json
    assert (codes(found), found["compared"]) == (["environment_changed"], 2)


def test_recache_answers_nothing(ready: Project) -> None:
    ready.wrapped("cat", "two/x")
    ready.wrapped("cat", "two/x", options=("--mode", "recache"))
    assert (ready.last()["outcome"], codes(ready.last())) == ("miss", ["recache"])


@pytest.mark.parametrize(
    "arguments", [(), ("--",), ("latest", "--", "true"), ("--bogus", "latest"), ("--probe", "x", "latest")]
)
def test_usage(project: Project, arguments: tuple[str, ...]) -> None:
    done = project.pytrace("explain", *arguments)
    assert (done.status, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)

# SPDX-License-Identifier: Apache-2.0
"""`pytrace diff` of stored actions: letters for inputs, environment, arguments and outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytrace_exec.bazel_logs.comparing import NON_HERMETIC
from tests.exec.bazel_logs.test_bazel_logs import B, build, compact
from tests.exec.cli.project import Project, codes
from tests.support.server import running_server

pytestmark = pytest.mark.strace


def _letters(found: dict[str, dict[str, list[dict[str, str]]]], part: str) -> set[tuple[str, str]]:
    return {(row["letter"], row["name"].split(" (")[0]) for row in found["parts"][part]}


def _two(project: Project, *options: str) -> tuple[str, str]:
    project.write(x="x", y="y")
    project.wrapped("sh", "-c", "cat x > out; mkdir one", options=options, MODE="fast")
    first = project.last()["action"]
    (project.root / "one").rmdir()
    project.write(x="other")
    project.wrapped("sh", "-c", "cat x y > out; ln -s x two", options=options, MODE="slow", MORE="1")
    second = project.last()["action"]
    assert project.last()["outcome"] == "miss", project.last()
    return first, second


def test_two_actions(project: Project) -> None:
    first, second = _two(project)
    assert project.pytrace("diff", first, first).status == 0
    done = project.pytrace("diff", "--json", first, second[:12])
    assert (done.status, done.json["kind"], done.json["same"]) == (1, "actions", False)
    assert _letters(done.json, "environment") == {("M", "MODE"), ("+", "MORE")}
    assert _letters(done.json, "arguments") == {("M", "argument 2")}
    assert {("M", "x"), ("+", "y")} <= _letters(done.json, "inputs")
    assert {("M", "out"), ("-", "one"), ("+", "two")} == _letters(done.json, "outputs")
    text = project.pytrace("diff", first, second)
    assert (text.status, b"M x" in text.stdout) == (1, True)
    assert project.pytrace("diff", first, "0123456789ab").status == 20


def test_actions_of_a_remote(project: Project, tmp_path: Path) -> None:
    with running_server(tmp_path / "server") as server:
        first, second = _two(project, "--remote", server.grpc_url)
        done = project.pytrace(
            "diff", "--json", "--remote", server.grpc_url, "--dir", str(tmp_path / "no"), first, second
        )
        assert (done.status, _letters(done.json, "environment")) == (1, {("M", "MODE"), ("+", "MORE")}), done
        assert {("M", "x"), ("+", "y")} <= _letters(done.json, "inputs")
        assert {("M", "out"), ("-", "one"), ("+", "two")} == _letters(done.json, "outputs")
        assert not (tmp_path / "no").exists()
        assert project.pytrace("diff", "--remote", server.grpc_url, first, "0" * 64 + "/1").status == 20


def test_two_builds(project: Project, tmp_path: Path) -> None:
    first, second = compact(tmp_path, "a", *build()), compact(tmp_path, "b", *build(out=B))
    assert project.pytrace("diff", first, first).status == 0
    found = project.pytrace("diff", "--json", first, second)
    assert (found.status, found.json["same"], found.json["spawns"]["different"]) == (1, False, 1)
    text = project.pytrace("diff", first, second)
    assert (text.status, b"CppCompile" in text.stdout, NON_HERMETIC.encode() in text.stdout) == (1, True, True)
    (tmp_path / "c").write_bytes((tmp_path / "a").read_bytes()[:40])
    assert project.pytrace("diff", first, str(tmp_path / "c")).status == 2


def test_two_results_are_explained_as_the_second_run_was(project: Project) -> None:
    """One core: what `pytrace-exec --explain` said on the machine, `diff` says from the store alone."""
    script = "cat in; echo list/*; ./tool; [ -e extra ] && cat extra; readlink link"
    script += "; [ -s own ] || echo own > own; cat gone || true"
    project.write(**{"in": "a\nb\n", "list/one": "1", "tool": "#!/bin/sh\necho 1\n", "gone": "g\n"})
    (project.root / "tool").chmod(0o755)
    (project.root / "link").symlink_to("in")
    options = ("--upload-inputs",)
    assert project.wrapped("sh", "-c", script, options=options, MODE="a", API_TOKEN="first secret").status == 0
    first = project.last()["action"]
    (project.root / "link").unlink()
    (project.root / "link").symlink_to("tool")
    (project.root / "gone").unlink()
    project.write(**{"in": "a\nB\n", "list/two": "2", "tool": "#!/bin/sh\necho 2\n", "extra": "e\n", "own": "mine\n"})
    assert project.pytrace("invalidate", "--path", "in", "--reason", "a bad tool").status == 0
    project.wrapped("sh", "-c", script, options=options, MODE="b", API_TOKEN="second secret")
    last = project.last()
    assert last["outcome"] == "miss"
    assert set(codes(last)) >= {
        *("environment_changed", "tool_changed", "inputs_changed", "new_file", "input_removed", "listing_changed"),
        *("link_changed", "output_differs", "invalidated"),
    }
    found = project.pytrace("diff", first, last["action"], "--json").json

    def told(reasons: list[dict[str, Any]]) -> list[tuple[str, ...]]:
        fields = ("code", "message", "path", "old", "new", "name", "came", "went", "invalidation")
        return [tuple(str(one.get(name)) for name in fields) for one in reasons if one["code"] != "order_changed"]

    assert told(found["reasons"]) == told(last["reasons"])
    assert [one for group in found["groups"] for one in group["reasons"]] == found["reasons"]
    assert any("+B" in one.get("diff", ()) for one in found["reasons"])
    assert "secret" not in project.pytrace("diff", first, last["action"], "--json").stdout.decode()

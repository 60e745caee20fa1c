# SPDX-License-Identifier: Apache-2.0
"""`pytrace trace` as a user runs it."""

from __future__ import annotations

import base64
import json
import os

import pytest

from pytrace_cas.digest import BLAKE3
from tests.exec.cli.project import Project, by_kind, settle

pytestmark = pytest.mark.strace


def test_observations(project: Project) -> None:
    project.write(a="content\n", folder__one="1")
    (project.root / "link").symlink_to("a")
    settle()
    done = project.pytrace("trace", "--json", "--", "sh", "-c", "cat a missing link; echo folder/*; exit 3")
    assert done.status == 0  # the trace is complete; the command's own status is in the report
    assert done.stdout.startswith(b"content\ncontent\nfolder/one\n")
    found = done.json
    assert (found["schema"], found["exit_code"], found["complete"]) == (1, 3, True)
    seen = found["observations"]
    assert by_kind(seen, "content")["a"]["digest"] == str(BLAKE3.of(b"content\n"))
    assert by_kind(seen, "error")["missing"]["error"] == "ENOENT"
    assert by_kind(seen, "link")["link"]["target"] == "a"
    listing = by_kind(seen, "listing")["folder"]
    assert (listing["entries"], listing["types"]) == (["one"], ["file"])
    assert by_kind(seen, "identity", "name")["root"]["value"] == str(project.root)
    assert "exit_status" in [reason["code"] for reason in found["not_storable"]]


def test_outputs(project: Project) -> None:
    project.write(old="old", gone="gone", moved="moved")
    script = "echo new > new; ln new hard; ln -s new soft; mkdir folder; rm gone; mv moved place; chmod 755 old"
    found = project.pytrace("trace", "--json", "--", "sh", "-c", script).json
    outputs = found["outputs"]
    files = by_kind(outputs, "file")
    assert (files["hard"]["digest"], files["hard"]["mode"]) == (str(BLAKE3.of(b"new\n")), "0644")
    assert (files["place"]["moved_from"], files["place"]["digest"]) == ("moved", str(BLAKE3.of(b"moved")))
    assert (files["old"]["mode"], files["old"]["metadata_only"]) == ("0755", True)
    assert {path: link["target"] for path, link in by_kind(outputs, "symlink").items()} == {"soft": "new"}
    assert {path: link["target"] for path, link in by_kind(outputs, "hardlink").items()} == {"new": "hard"}
    assert set(by_kind(outputs, "directory")) == {"folder"}
    assert set(by_kind(outputs, "removed")) == {"gone", "moved"}


def test_processes_and_counts(project: Project) -> None:
    found = project.pytrace("trace", "--json", "--", "sh", "-c", "cat /dev/null; ls; (exit 4) || true").json
    shell, *children = found["processes"]
    assert shell["argv"][:2] == ["sh", "-c"]
    assert shell["exit_code"] == 0
    programs = {child["argv"][0]: child for child in children if child["ppid"] == shell["pid"]}
    assert {"cat", "ls"} <= programs.keys()
    assert found["counts"]["execs"] == 3
    assert found["counts"]["getdents"] == 2
    assert "calls" not in found


def test_nothing_is_stored(project: Project) -> None:
    project.pytrace("trace", "--", "true")
    assert not project.store.exists()


def test_report_in_a_file(project: Project) -> None:
    report = project.base / "report.json"
    done = project.pytrace("trace", "-o", str(report), "--format", "json", "--", "printf", "%s", "out")
    assert (done.stdout, done.stderr) == (b"out", b"")
    assert json.loads(report.read_text())["exit_code"] == 0


def test_all_calls(project: Project) -> None:
    project.write(a="x")
    calls = project.pytrace("trace", "--json", "--all", "--", "cat", "a").json["calls"]
    (opened,) = [call for call in calls if call["call"].startswith("open") and call["path"] == "a"]
    assert opened["fd"] is not None
    assert "O_RDONLY" in opened["flags"]
    inode = (project.root / "a").stat().st_ino
    assert inode in [call["inode"] for call in calls if call["path"] == "a"]


def test_a_name_that_is_no_utf8(project: Project) -> None:
    name = b"caf\xe9"
    (project.root / os.fsdecode(name)).write_text("x")
    settle()
    seen = project.pytrace("trace", "--json", "--", "cat", name).json["observations"]
    (found,) = [item for item in seen if item["kind"] == "content" and "path_b64" in item]
    assert base64.b64decode(found["path_b64"]) == name
    assert found["path"] == "caf\N{REPLACEMENT CHARACTER}"


def test_reason_not_to_store(project: Project) -> None:
    os.mkfifo(project.root / "pipe")
    reasons = project.pytrace("trace", "--json", "--", "date").json["not_storable"]
    assert [reason["code"] for reason in reasons] == ["clock"]
    assert project.pytrace("trace", "--json", "--", "date", PYTRACE_ALLOW_CLOCK="1").json["not_storable"] == []
    (written,) = project.pytrace("trace", "--json", "--", "sh", "-c", ": <> pipe").json["not_storable"]
    assert (written["code"], written["path"]) == ("device", "pipe")


def test_a_trace_that_is_not_complete(project: Project) -> None:
    done = project.pytrace("trace", "--json", "--", "sh", "-c", "sleep 3 >&- 2>&- &")
    assert done.status == 1
    assert "left_running" in [reason["code"] for reason in done.json["not_storable"]]


def test_text(project: Project) -> None:
    project.write(a="x")
    lines = project.pytrace("trace", "--", "cp", "a", "b").stdout.decode().splitlines()
    assert lines[0] == "exit status 0"
    digest = str(BLAKE3.of(b"x"))
    assert any(line.split()[:3] == ["content", "a", f"digest={digest}"] for line in lines)
    assert any(line.split()[:3] == ["file", "b", f"digest={digest}"] for line in lines)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--", "no-such-program"), 1),
        (("-o", "no/such/folder/report", "--", "touch", "made"), 2),
        (("--no-such-option", "--", "touch", "made"), 2),
        (("--tracer", "gdb", "--", "touch", "made"), 2),
        (("--root", "nowhere", "--", "touch", "made"), 2),
        ((), 2),
    ],
)
def test_what_is_refused(project: Project, arguments: tuple[str, ...], status: int) -> None:
    done = project.pytrace("trace", *arguments)
    assert (done.status, done.stdout) == (status, b"")
    assert done.stderr.startswith(b"pytrace: ")
    assert done.stderr.count(b"\n") == 1
    assert not (project.root / "made").exists()

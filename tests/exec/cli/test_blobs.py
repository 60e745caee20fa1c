# SPDX-License-Identifier: Apache-2.0
"""`pytrace cat`, `tree`, `download`, `upload`, and scripts that run a command again."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from pytrace_cas.digest import BLAKE3
from pytrace_cas.reapi import ActionResult, OutputFile, OutputSymlink
from pytrace_cas.store import Store
from tests.exec.cli.project import Project
from tests.support.server import running_server

SCRIPT = "#!/bin/sh\ncat 'a b' \"$1\" > sub/out; mkdir -p sub/e; ln -sf out sub/l; echo said\n"


@pytest.fixture
def ran(project: Project) -> Project:
    """A project whose script has run, with its inputs kept."""
    made(project)
    return project


def made(project: Project, *options: str) -> str:
    """Run the script; give its action."""
    project.write(**{"a b": "a\n", "sub/x": "x\n", "gen.sh": SCRIPT})
    (project.root / "gen.sh").chmod(0o755)
    done = project.wrapped("./gen.sh", str(project.root / "sub/x"), options=("--upload-inputs", *options))
    assert done.status == 0, done.stderr
    return str(project.last()["action"])


@pytest.mark.strace
def test_every_object_of_an_action(ran: Project) -> None:
    told = ran.pytrace("cat", "action", "latest", "--json").json
    root = "{hash}/{size_bytes}".format(**told["message"]["input_root_digest"])
    assert told["digest"] == ran.last()["action"]
    command = ran.pytrace("cat", "command", "sub/out", "--json").json["message"]
    assert command["arguments"] == ["./gen.sh", "%R/sub/x"]
    assert ran.pytrace("cat", "stdout", "latest").stdout == b"said\n"
    assert ran.pytrace("cat", "effects", "latest").stdout.startswith(b"pytrace-effects 1\n")
    assert b"%R/gen.sh" in ran.pytrace("cat", "facts", "latest").stdout
    by_digest, by_action = (ran.pytrace("cat", "directory", name, "--json").json for name in (root, "latest"))
    assert by_digest == by_action
    assert b"output_files" in ran.pytrace("cat", "result", "latest").stdout
    message = ActionResult.decode(ran.pytrace("cat", "result", "latest", "--format", "raw").stdout)
    out = next(file.digest for file in message.output_files if file.path == "sub/out")
    assert ran.pytrace("cat", "file", str(out)).stdout == b"a\nx\n"
    assert ran.pytrace("cat", "file", str(out).partition("/")[0]).stdout == b"a\nx\n"
    absent = f"{'0' * 64}/5"
    for kind, reference in (("tree", "latest"), ("file", absent), ("action", "nothing"), ("command", str(out))):
        done = ran.pytrace("cat", kind, reference)
        assert (done.status, done.stdout, done.stderr.count(b"\n")) == (20, b"", 1), kind
    entries = ran.pytrace("tree", "latest", "--json").json["entries"]
    assert {"root", "root/gen.sh", "root/sub/x", "facts"} <= {entry["path"] for entry in entries}
    assert "└── " in ran.pytrace("tree", root).stdout.decode()


@pytest.mark.strace
def test_downloads_replace_nothing_unasked(ran: Project) -> None:
    target = ran.base / "got"
    assert ran.pytrace("download", "latest", str(target)).status == 0
    assert (target / "sub/out").read_text() == "a\nx\n"
    assert os.readlink(target / "sub/l") == "out"
    assert (target / "sub/e").is_dir()
    (target / "sub/out").write_text("mine\n")
    done = ran.pytrace("download", "latest", str(target))
    assert (done.status, done.stderr.count(b"\n"), (target / "sub/out").read_text()) == (1, 1, "mine\n")
    assert ran.pytrace("download", "--force", "latest", str(target)).status == 0
    assert (target / "sub/out").read_text() == "a\nx\n"
    assert sorted(os.listdir(target / "sub")) == ["e", "l", "out"]
    # A folder that is there keeps who may look into it.
    (ran.base / "kept/sub/e").mkdir(parents=True)
    for options, mode in (((), 0o700), (("--force",), 0o755)):
        (ran.base / "kept/sub/e").chmod(0o700)
        assert ran.pytrace("download", *options, "latest", str(ran.base / "kept")).status == 0
        assert (ran.base / "kept/sub/e").stat().st_mode & 0o777 == mode
    # A link where a folder should be leads nowhere.
    (ran.base / "elsewhere").mkdir()
    (ran.base / "other").mkdir()
    (ran.base / "other/sub").symlink_to(ran.base / "elsewhere")
    assert ran.pytrace("download", "--force", "latest", str(ran.base / "other")).status == 1
    assert os.listdir(ran.base / "elsewhere") == []


@pytest.mark.parametrize("name", ["../out", "/abs", "a/../../out", "a//b", "."])
def test_hostile_names_stay_inside(project: Project, name: str) -> None:
    with Store.open(bytes(project.store)) as store:
        blob = store.put(BLAKE3, b"evil")
        key = BLAKE3.of(b"action")
        for number, result in enumerate(
            (
                ActionResult(output_files=[OutputFile(path=name, digest=blob)]),
                ActionResult(output_symlinks=[OutputSymlink(path=name, target="x")]),
            )
        ):
            key = BLAKE3.of(b"action %d" % number)
            store.put_action_result(BLAKE3, "", key, result.encode(), result.needs())
    for number in range(2):
        done = project.pytrace("download", str(BLAKE3.of(b"action %d" % number)), str(project.base / "in/got"))
        assert (done.status, done.stderr.count(b"\n")) == (20, 1)
    assert not (project.base / "in").exists()


def test_what_is_uploaded_comes_back(project: Project) -> None:
    project.write(**{"t/run": "#!/bin/sh\n", "t/deep/ä": "x\n"})
    tree = project.root / "t"
    (tree / "run").chmod(0o755)
    (tree / "link").symlink_to("/nowhere")
    (tree / "empty").mkdir()
    told = project.pytrace("upload", "t", "--json").json
    assert (told["kind"], told["files"], told["digest_function"]) == ("directory", 2, "blake3")
    again = project.base / "again"
    assert project.pytrace("download", told["digest"], str(again)).status == 0
    assert subprocess.run(["diff", "-r", "--no-dereference", tree, again], check=False).returncode == 0
    assert os.access(again / "run", os.X_OK)
    assert project.pytrace("upload", str(again)).stdout.decode().strip() == told["digest"]
    file = project.pytrace("upload", "t/run").stdout.decode().strip()
    assert file == str(BLAKE3.of(b"#!/bin/sh\n"))
    assert project.pytrace("download", file, str(again / "blob")).status == 0
    assert (again / "blob" / file.partition("/")[0]).read_bytes() == b"#!/bin/sh\n"
    os.mkfifo(tree / "fifo")
    assert project.pytrace("upload", "t").status == 2
    assert project.pytrace("upload", "nothing").status == 20


@pytest.mark.strace
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_by_way_of_a_remote(project: Project, protocol: str) -> None:
    with running_server(project.base / "served") as server:
        url = server.grpc_url if protocol == "grpc" else server.http_url
        action = made(project, "--remote", url)
        digest = project.pytrace("upload", "--remote", url, "sub").stdout.decode().strip()
        assert digest
        fresh = {"PYTRACE_DIR": str(project.base / "fresh"), "PYTRACE_REMOTE": url}
        got = project.base / "got"
        assert project.pytrace("download", digest, str(got), **fresh).status == 0
        assert (got / "out").read_text() == "a\nx\n"
        assert project.pytrace("cat", "stdout", action, **fresh).stdout == b"said\n"
        assert project.pytrace("tree", action, **fresh).status == 0
        if protocol == "http":
            return
        # Show 6: on another machine, from the remote alone.
        script, inputs = project.base / "run.sh", project.base / "inputs"
        script.write_bytes(project.pytrace("show", action, "--format", "sh", **fresh).stdout)
        assert project.pytrace("download", "--inputs", action, str(inputs), **fresh).status == 0
        shutil.rmtree(project.root)
        project.root.mkdir()
        run = ["sh", os.fspath(script)]
        assert subprocess.run([*run, "nowhere"], cwd="/", capture_output=True, check=False).returncode != 0
        done = subprocess.run([*run, os.fspath(inputs)], cwd="/", capture_output=True, check=True)
        assert done.stdout == b"said\n"
        assert (inputs / "root/sub/out").read_text() == "a\nx\n"
        assert os.readlink(inputs / "root/sub/l") == "out"


@pytest.mark.strace
def test_a_script_without_inputs_says_what_to_do(project: Project) -> None:
    project.write(**{"in": "x\n"})
    assert project.wrapped("sed", "s/x/y/w out", "in").status == 0
    script = project.pytrace("show", "latest", "--format", "sh").stdout
    assert b"--upload-inputs" in script
    done = subprocess.run(["sh", "-s", "/tmp"], input=script, capture_output=True, check=False)
    assert (done.returncode, b"--upload-inputs" in done.stderr) == (1, True)
    (project.root / "out").unlink()
    subprocess.run(["sh"], input=script, check=True, cwd="/")
    assert (project.root / "out").read_text() == "y\n"
    project.root.rename(project.base / "moved")
    done = subprocess.run(["sh"], input=script, capture_output=True, check=False)
    assert (done.returncode, b"download" in done.stderr) == (1, True)
    assert project.pytrace("download", "--inputs", "latest", "/tmp/x", cwd="home").status == 20


def test_a_blob_is_named_by_the_beginning_of_its_digest(project: Project) -> None:
    with Store.open(str(project.store)) as store:
        many = [store.put(BLAKE3, b"%d" % number) for number in range(500)]
        beginnings = [digest.hash[:4] for digest in many]
        alone = next(digest for digest in many if beginnings.count(digest.hash[:4]) == 1)
        data = store.get(BLAKE3, alone)
    for length in (4, 5, 63):
        done = project.pytrace("cat", "file", alone.hash[:length])
        assert (done.status, done.stdout) == (0, data), length
    assert project.pytrace("download", alone.hash[:8], "there").status == 0
    assert (project.root / "there" / alone.hash).read_bytes() == data
    twice = [digest.hash for digest in many if beginnings.count(digest.hash[:4]) > 1]
    if twice:
        assert project.pytrace("cat", "file", twice[0][:4]).status == 2
    assert project.pytrace("cat", "file", alone.hash[:3]).status == 20
    assert project.pytrace("cat", "file", "0" * 30).status == 20

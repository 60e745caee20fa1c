# SPDX-License-Identifier: Apache-2.0
"""Options that decide what a result depends on."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.exec.wrapper.place import Place

pytestmark = [pytest.mark.strace]


def test_ignored_paths_are_no_inputs(place: Place) -> None:
    place.put("in", "one\n")
    place.put("logs/old.log", "a\n")
    command = ("--ignore", "logs", "--ignore", "*.tmp", "--", "sh", "-c", "cat in logs/old.log > out; echo * logs/*")
    assert place.run(*command).outcome == "miss"
    place.put("logs/old.log", "b\n")
    place.put("logs/new.log", "b\n")
    place.put("deep/x.tmp", "b\n")
    (place.root / "deep" / "x.tmp").unlink()
    (place.root / "deep").rmdir()
    place.put("x.tmp", "b\n")
    (place.root / "out").unlink()
    again = place.run(*command)
    assert again.outcome == "hit"
    assert (place.root / "out").read_text() == "one\na\n"
    place.put("in", "two\n")
    assert place.run(*command).outcome == "miss"


def test_ignored_paths_are_no_outputs(place: Place) -> None:
    command = ("sh", "-c", "mkdir -p logs; echo ran >> logs/log; echo made > out")
    options = ("--ignore", str(place.root / "logs"))
    assert place.run(*options, "--", *command).outcome == "miss"
    (place.root / "out").unlink()
    assert place.run(*options, "--", *command).outcome == "hit"
    assert (place.root / "logs" / "log").read_text() == "ran\n"
    assert (place.root / "out").read_text() == "made\n"
    assert place.run("--", *command).outcome == "miss"


def test_what_is_moved_out_of_an_ignored_folder_is_not_stored(place: Place) -> None:
    place.put("logs/a", "a\n")
    ended = place.run("--ignore", "logs", "--", "mv", "logs/a", "b")
    assert ended.outcome == "not_stored"
    assert "left_out" in ended.reasons


def test_disposable_places_may_lie_outside_the_root(place: Place) -> None:
    with tempfile.TemporaryDirectory(prefix="pytrace-scratch-") as scratch:
        Path(scratch, "kept").write_text("old\n")
        Path(scratch, "gone").write_text("old\n")
        time.sleep(0.02)
        script = f"cat {scratch}/kept; echo x > {scratch}/kept; rm {scratch}/gone; mkdir {scratch}/new; echo made > out"
        command = ("sh", "-c", script.replace("cat", "read a <"))
        assert "wrote_outside" in place.run("--", *command).reasons
        Path(scratch, "gone").write_text("old\n")
        os.rmdir(Path(scratch, "new"))
        time.sleep(0.02)
        assert place.run("--disposable", f"{scratch}/*", "--", *command).outcome == "miss"
        again = place.run("--disposable", f"{scratch}/*", "--", *command)
        assert again.outcome == "hit", again.record
        assert place.run("--strict", "--disposable", f"{scratch}/*", "--", *command).outcome == "not_stored"


def test_times_count_only_when_asked_for(place: Place) -> None:
    path = place.put("in", "one\n")
    os.utime(path, (1, 1_500_000_000))
    time.sleep(0.02)
    command = ("--", "python3", "-I", "-c", "import os; print(os.stat('in').st_mtime_ns > 0)")
    assert place.run(*command).outcome == "miss"
    os.utime(path, (1, 1_400_000_000))
    time.sleep(0.02)
    assert place.run(*command).outcome == "hit"
    assert place.run("--mtime", *command).outcome == "miss"  # the stored one did not count times
    assert place.run("--mtime", *command).outcome == "hit"
    os.utime(path, (1, 1_300_000_000))
    time.sleep(0.02)
    assert place.run("--mtime", *command).outcome == "miss"


def test_exact_facts_are_asked_for_at_the_look_up_too(place: Place) -> None:
    place.put("in", "one\n")
    assert place.run("--", "cat", "in").outcome == "miss"
    assert place.run("--strict", "--", "cat", "in").outcome == "miss"
    assert place.run("--strict", "--", "cat", "in").outcome == "hit"
    assert place.run("--", "cat", "in").outcome == "hit"


def test_a_probed_file_counts_by_size_alone_if_that_is_chosen(place: Place) -> None:
    place.put("in", "one\n")
    command = ("--", "test", "-s", "in")
    assert place.run("--probe", "stat", *command).outcome == "miss"
    place.put("in", "two\n")
    assert place.run("--probe", "stat", *command).outcome == "hit"
    assert place.run(*command).outcome == "miss"
    place.put("in", "three\n")
    assert place.run("--probe", "stat", *command).outcome == "miss"


def test_a_large_probed_file_counts_by_its_time(place: Place) -> None:
    path = place.put("in", "one\n")
    os.utime(path, (1, 1_500_000_000))
    time.sleep(0.02)
    command = ("--probe-limit", "3", "--", "python3", "-I", "-c", "import os; os.stat('in')")
    assert place.run(*command).outcome == "miss"
    path.write_text("two\n")
    os.utime(path, (1, 1_500_000_000))
    time.sleep(0.02)
    assert place.run(*command).outcome == "hit"
    os.utime(path, (1, 1_400_000_000))
    time.sleep(0.02)
    assert place.run(*command).outcome == "miss"


def test_a_pipe_on_stdin_is_keyed_when_asked_for(place: Place) -> None:
    command = ("sh", "-c", "read line; echo got $line")
    assert place.run("--", *command, input=b"one\n").reasons == ("pipe_read",)
    first = place.run("--stdin", "--", *command, input=b"one\n")
    assert (first.outcome, first.stdout) == ("miss", b"got one\n")
    again = place.run("--stdin", "--", *command, input=b"one\n")
    assert (again.outcome, again.stdout) == ("hit", b"got one\n")
    other = place.run("--stdin", "--", *command, input=b"two\n")
    assert (other.outcome, other.stdout) == ("miss", b"got two\n")


def test_what_was_read_ahead_reaches_a_command_that_is_not_cached(place: Place) -> None:
    data = os.urandom(6 << 20)
    place.store.write_bytes(b"a file, not a folder")
    bypassed = place.run("--stdin", "--", "cat", input=data, variables={"PYTRACE_DIR": None, "HOME": None})
    assert (bypassed.outcome, bypassed.stdout) == ("bypass", data)
    readonly = {"PYTRACE_READONLY": "1", "PYTRACE_DIR": str(place.base / "another")}
    unseen = place.run("--stdin", "--", "cat", input=data, variables=readonly)
    assert (unseen.outcome, unseen.stdout) == ("not_stored", data)


def test_a_file_on_stdin_is_no_pipe_of_the_same_content(place: Place) -> None:
    path = place.put("in", "one\n")
    command = ("--stdin", "--", "cat")
    assert place.run(*command, input=b"one\n").outcome == "miss"
    for outcome in ("miss", "hit"):
        with path.open("rb") as stdin:
            assert place.run(*command, stdin=stdin.fileno()).outcome == outcome
            assert os.lseek(stdin.fileno(), 0, os.SEEK_CUR) == 4


def test_variables_that_are_chosen_count(place: Place) -> None:
    command = ("--", "true")
    assert place.run(*command, variables={"EDITOR": "one"}).outcome == "miss"
    assert place.run(*command, variables={"EDITOR": "two"}).outcome == "hit"
    assert place.run("--env", "EDITOR", *command, variables={"EDITOR": "one"}).outcome == "miss"
    assert place.run("--env", "EDITOR", *command, variables={"EDITOR": "two"}).outcome == "miss"
    assert place.run("--env", "EDITOR", *command, variables={"EDITOR": "one"}).outcome == "hit"


@pytest.mark.parametrize("mode", ["readwrite", "off"])
def test_with_env_only_the_command_gets_the_chosen_ones(place: Place, mode: str) -> None:
    options = ("--mode", mode, "--env-only", "--env", "CHOSEN", "--env", "PATH", "--env", "UNSET", "--")
    ended = place.run(*options, "env", variables={"CHOSEN": "1", "OTHER": "2"})
    assert sorted(ended.stdout.split()) == [b"CHOSEN=1", b"PATH=/usr/local/bin:/usr/bin:/bin"]


def test_with_env_only_others_do_not_count(place: Place) -> None:
    options = ("--env-only", "--env", "CHOSEN", "--", "true")
    assert place.run(*options, variables={"CHOSEN": "1", "OTHER": "2"}).outcome == "miss"
    assert place.run(*options, variables={"CHOSEN": "1", "OTHER": "3"}).outcome == "hit"
    assert place.run(*options, variables={"CHOSEN": "2", "OTHER": "3"}).outcome == "miss"


def test_a_redacted_value_is_nowhere_in_the_store(place: Place) -> None:
    for options in ((), ("--redact", "HIDDEN")):
        ended = place.run(*options, "--", "true", variables={"HIDDEN": "swordfish-4711", "MY_TOKEN": "geheim-4711"})
        assert ended.outcome == "miss"
        found = subprocess.run(["grep", "-rqaF", "geheim-4711", str(place.store)], check=False)
        assert found.returncode == 1
        plain = subprocess.run(["grep", "-rqaF", "swordfish-4711", str(place.store)], check=False)
        assert plain.returncode == (1 if options else 0)
        subprocess.run(["rm", "-r", str(place.store)], check=True)


@pytest.mark.parametrize("tracer", ["strace", pytest.param("native", marks=pytest.mark.native)])
@pytest.mark.parametrize(
    ("options", "command"),
    [
        (("--output", "out.s"), ("sh", "-c", "cat in > out.s; wc -c out.s")),
        pytest.param((), ("gcc", "-S", "source.c", "-o", "out.s"), marks=pytest.mark.compiler),
    ],
    ids=["declared", "compiler"],
)
def test_the_mode_of_an_old_output_stays_with_it(
    place: Place, options: tuple[str, ...], command: tuple[str, ...], tracer: str
) -> None:
    """What is written over in place keeps the mode it had: a clean tree is not answered with that."""
    place.put("in", "one\n")
    place.put("source.c", "int one;\n")
    out = place.root / "out.s"
    words = ("--tracer", tracer, *options, "--", *command)
    for mode in (0o640, 0o755, 0o444):
        out.write_text("old\n")
        out.chmod(mode)
        assert place.run(*words).outcome == "miss"
        assert out.stat().st_mode & 0o777 == mode
    out.unlink()
    assert place.run(*words).outcome == "miss"
    assert out.stat().st_mode & 0o777 == 0o644
    assert place.run(*words).outcome == "hit"
    out.unlink()
    assert place.run(*words).outcome == "hit"


def test_a_declared_output_is_answered_only_to_who_declares_it(place: Place) -> None:
    command = ("sh", "-c", "[ -s x ] || echo made > x")
    assert place.run("-o", "x", "--", *command).outcome == "miss"
    place.put("x", "the user's\n")
    assert place.run("--", *command).outcome == "miss"
    assert (place.root / "x").read_text() == "the user's\n"


def test_status_is_trusted_everywhere_when_asked_for(place: Place) -> None:
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no tmpfs in /dev/shm")
    with tempfile.TemporaryDirectory(prefix="pytrace-", dir="/dev/shm") as folder:
        Path(folder, "out").touch()
        time.sleep(0.02)
        for options, kept in (((), False), (("--trust-stat",), True)):
            for _ in range(2):
                os.unlink(Path(folder, "out"))
                ended = place.run(*options, "--root", folder, "--", "sh", "-c", "echo made > out", cwd=folder)
            assert ended.outcome == "hit"
            database = place.store / "digests.sqlite"
            import sqlite3

            rows = (
                sqlite3.connect(database).execute("SELECT inode FROM digests").fetchall() if database.exists() else []
            )
            assert ((os.stat(Path(folder, "out")).st_ino,) in rows) == kept


def test_the_store_and_what_lies_in_it_is_the_users_alone(place: Place) -> None:
    place.put("in", "one\n")
    for _ in range(2):
        place.run("--trust-stat", "--", "cat", "in", umask=0)
    database = os.fspath(place.store / "digests.sqlite")
    assert os.path.exists(database)
    modes = {path.name: path.stat().st_mode & 0o777 for path in place.store.rglob("*") if path.is_file()}
    assert set(modes.values()) == {0o600}, modes


def test_files_of_the_project_and_the_user_take_effect(place: Place) -> None:
    place.put("pytrace.toml", 'ignore = ["noise"]\nenv = ["EDITOR"]\noutput = ["made"]\n')
    place.put("noise", "one\n")
    command = ("sh", "-c", "cat noise > /dev/null; [ -e made/x ] || { mkdir -p made; echo x > made/x; }")
    assert place.run("--", *command, cwd=".").outcome == "miss"
    place.put("noise", "two\n")
    subprocess.run(["rm", "-r", str(place.root / "made")], check=True)
    assert place.run("--", *command).outcome == "hit"
    assert place.run("--", *command, variables={"EDITOR": "other"}).outcome == "miss"


REPOSITORY = "git init -q .; mkdir d; echo b > d/b; git add .; git -c user.name=n -c user.email=a@b commit -qm m"


@pytest.mark.git
@pytest.mark.parametrize("tracer", [pytest.param("native", marks=pytest.mark.native), "strace"])
def test_git_s_index_may_hold_times_of_directories(place: Place, tracer: str) -> None:
    """With an untracked cache git lists no directory whose time is the one in its index."""
    cache = "git config core.untrackedCache true; git update-index --untracked-cache"
    subprocess.run(["sh", "-ec", f"{REPOSITORY}; {cache}"], cwd=place.root, check=True)
    command = ("--tracer", tracer, "--", "git", "status", "--short")
    for _ in range(3):
        time.sleep(1.1)  # git trusts no time of the second in which it wrote its index
        assert place.run(*command).stdout == b""
    place.put("d/new", "n")
    assert place.run(*command).stdout == b"?? d/new\n"


@pytest.mark.git
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_git_works_in_nobody_else_s_repository(place: Place) -> None:
    subprocess.run(["sh", "-ec", REPOSITORY], cwd=place.root, check=True)
    command = ("git", "rev-parse", "--show-prefix")
    assert [place.run("--", *command).outcome for _ in range(2)] == ["miss", "hit"]
    for folder in (place.root, place.root / ".git"):
        os.chown(folder, 1000, -1)
    assert place.run("--", *command).status == 128

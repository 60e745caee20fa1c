# SPDX-License-Identifier: Apache-2.0
"""Options and modes that decide what is stored, and what a stored result may answer."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.exec.wrapper.place import Place
from tests.support.tracers import TRACERS

pytestmark = [pytest.mark.strace]


def test_the_clock_is_stored_only_for_who_allows_it(place: Place) -> None:
    command = ("--", "date", "+%N")
    assert place.run(*command).reasons == ("clock",)
    first = place.run("--allow-clock", *command)
    again = place.run("--allow-clock", *command)
    assert (first.outcome, again.outcome, again.stdout) == ("miss", "hit", first.stdout)
    assert place.run(*command).reasons == ("clock",)


def test_failures_are_stored_only_for_who_wants_them(place: Place) -> None:
    command = ("--", "sh", "-c", "echo no >&2; exit 3")
    assert place.run(*command).reasons == ("exit_status",)
    for outcome in ("miss", "hit"):
        ended = place.run("--cache-failures", *command)
        assert (ended.outcome, ended.status, ended.stderr) == (outcome, 3, b"no\n")
    assert place.run(*command).reasons == ("exit_status",)


def test_the_network_is_stored_only_for_who_allows_it(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, 3), daemon=True).start()
        script = f"import socket; print(socket.create_connection(('127.0.0.1', {server.getsockname()[1]})).recv(9))"
        command = ("--", "python3", "-I", "-c", script)
        assert "network" in place.run(*command).reasons
        assert place.run("--allow-network", *command).outcome == "miss"
        assert place.run("--allow-network", *command).outcome == "hit"
        assert "network" in place.run(*command).reasons


def _answer(server: socket.socket, times: int) -> None:
    for _ in range(times):
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"hello")


def test_xargs_counts_its_descriptors_for_nothing(place: Place) -> None:
    """It notes at its start which are open, to complain of its own faults when a variable of its makers asks for it."""
    place.put("in", "one two\n")
    command = ("--", "sh", "-c", "cat in | xargs -n1 echo got")
    for outcome in ("miss", "hit"):
        ended = place.run(*command)
        assert (ended.outcome, ended.stdout) == (outcome, b"got one\ngot two\n")
    place.put("in", "three\n")
    assert place.run(*command).stdout == b"got three\n"


@pytest.mark.parametrize("touch", ["touch stamp", "perl -e 'utime undef, undef, \"stamp\"'"])
def test_what_is_touched_after_an_output_stays_newer(place: Place, touch: str) -> None:
    """A stamp file is how a makefile says that a step is done: newer than all that the step made."""
    place.put("in", "one\n")
    place.put("stamp", "")
    command = ("--", "sh", "-c", f"cat in > out; sleep 0.05; {touch}")
    for outcome in ("miss", "hit"):
        (place.root / "out").unlink(missing_ok=True)
        assert place.run(*command).outcome == outcome
        assert (place.root / "stamp").stat().st_mtime_ns > (place.root / "out").stat().st_mtime_ns


@pytest.mark.parametrize("way", ["flag", "mode", "short"])
def test_readonly_looks_up_and_stores_nothing(place: Place, way: str) -> None:
    how: dict[str, dict[str, str]] = {
        "flag": {},
        "mode": {"PYTRACE_MODE": "readonly"},
        "short": {"PYTRACE_READONLY": "1"},
    }
    options = ("--mode=readonly",) if way == "flag" else ()
    place.put("in", "one\n")
    for _ in range(2):
        ended = place.run(*options, "--", "cat", "in", variables=how[way])
        assert (ended.outcome, ended.reasons[0], ended.stdout) == ("not_stored", "readonly", b"one\n")
    assert place.run("--", "cat", "in").outcome == "miss"
    assert place.run(*options, "--", "cat", "in", variables=how[way]).outcome == "hit"


def test_recache_runs_and_stores_anew(place: Place) -> None:
    command = ("--allow-clock", "--", "date", "+%N")
    first = place.run(*command)
    second = place.run("--mode", "recache", *command)
    third = place.run(*command, variables={"PYTRACE_RECACHE": "0"})
    assert [first.outcome, second.outcome, third.outcome] == ["miss", "miss", "hit"]
    assert first.stdout != second.stdout == third.stdout


def test_off_uses_no_cache(place: Place) -> None:
    for variables in ({"PYTRACE_DISABLE": "1"}, {"PYTRACE_MODE": "off"}):
        ended = place.run("--", "sh", "-c", "echo ran; exit 4", variables=variables)
        assert (ended.outcome, ended.status, ended.stdout) == ("bypass", 4, b"ran\n")
        silent = place.run("--", "sh", "-c", "echo ran; exit 4", variables={**variables, "PYTRACE_STATS_LOG": None})
        assert (silent.status, silent.stdout) == (4, b"ran\n")
    assert not place.store.exists()


def test_a_command_that_takes_too_long_is_ended_by_the_signal(place: Place) -> None:
    ended = place.run("--timeout", "300ms", "--", "sleep", "50")
    assert ended.status == -signal.SIGTERM
    assert ended.reasons[:2] == ("timeout", "signal")
    children = place.run("--timeout", "300ms", "--", "sh", "-c", "sleep 50; echo not reached")
    assert (children.status, children.stdout) == (-signal.SIGTERM, b"")


def test_a_command_that_handles_the_end_is_not_stored(place: Place) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo begun; sleep 50"
    for mode in ("readwrite", "off"):
        ended = place.run("--mode", mode, "--timeout", "400ms", "--", "sh", "-c", script)
        assert (ended.status, ended.stdout) == (0, b"begun\nbye\n")
        assert ended.outcome in ("not_stored", "bypass")


@pytest.mark.slow
def test_a_command_that_will_not_end_is_killed(place: Place) -> None:
    ended = place.run("--timeout", "1s", "--", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    assert ended.status == -signal.SIGKILL
    assert ended.outcome == "not_stored"


def test_time_enough_changes_nothing(place: Place) -> None:
    assert place.run("--timeout", "50s", "--", "true").outcome == "miss"
    assert place.run("--timeout", "60s", "--", "true").outcome == "hit"


def test_verify_finds_a_run_that_differs(place: Place) -> None:
    script = "date +%N; date +%N > out; echo same > same; echo x >&2"
    command = ("--allow-clock", "--", "sh", "-c", script)
    assert place.run("-o", ".", *command).outcome == "miss"
    ended = place.run("-o", ".", "--verify", *command)
    assert (ended.status, ended.outcome) == (0, "miss")
    assert ended.record is not None
    differing = [one for one in ended.record.line["reasons"] if one["code"] == "verify_differs"]
    assert [one["path"] for one in differing] == [None, "out"]
    assert all(one["old"] != one["new"] for one in differing)
    assert place.counters()["reason_verify_differs"] == 1


def test_verify_finds_an_exit_status_that_differs(place: Place) -> None:
    script = "import sys, time; sys.exit(time.time_ns() // 1000 % 100 + 1)"
    command = ("--cache-failures", "--", "python3", "-I", "-c", script)
    statuses = {place.run(*command).status}
    for _ in range(5):
        time.sleep(0.001)
        ended = place.run("--verify", *command)
        if ended.status not in statuses:
            assert "verify_differs" in ended.reasons
            return
        statuses = {ended.status}
    pytest.fail("the clock stood still")


def test_verify_confirms_a_run_that_is_the_same(place: Place) -> None:
    place.put("in", "one\n")
    command = ("--", "sh", "-c", "cat in; cat in > out; ln -s in link; mkdir folder; rm -f gone")
    assert place.run(*command).outcome == "miss"
    for name in ("out", "link"):
        (place.root / name).unlink()
    (place.root / "folder").rmdir()
    ended = place.run("--verify", *command)
    assert (ended.stdout, ended.reasons) == (b"one\n", ("verified",))


def test_labels_are_told_and_no_part_of_the_key(place: Place) -> None:
    first = place.run("--label", "team=a", "--label", "step=x=y", "--", "true")
    again = place.run("--label", "team=b", "--", "true")
    assert first.record is not None
    assert first.record.line["labels"] == {"team": "a", "step": "x=y"}
    assert again.outcome == "hit"


def test_what_a_key_was_made_of_lasts_as_long_as_the_result(place: Place) -> None:
    """A hit renews it too: `show` and `explain` still know the inputs after all that is old has gone."""
    place.put("in", "one\n")
    command = ("--", "cat", "in")
    assert place.run(*command).outcome == "miss"
    with closing(sqlite3.connect(place.store / "index.sqlite")) as index, index:
        for table in ("blobs", "results"):
            index.execute(f"UPDATE {table} SET used = used - 864000")
    assert place.run(*command).outcome == "hit"
    _run("pytrace-cas", "prune", "--older-than", "1d", "--dir", str(place.store))
    assert place.run(*command).outcome == "hit"
    shown = json.loads(_run("pytrace", "show", "latest", "--inputs", "--json", "--dir", str(place.store)))
    assert "in" in {found.get("path") for found in shown["inputs"]}


def _run(program: str, *arguments: str) -> bytes:
    return subprocess.run(
        [os.path.join(sysconfig.get_path("scripts"), program), *arguments], stdout=-1, check=True
    ).stdout


@pytest.mark.parametrize("tracer", TRACERS)
@pytest.mark.parametrize("change", ["sed -i 1s,sh,bash, s", "mv s t; echo > s", "echo '#!/bin/bash' > s"])
def test_a_script_whose_interpreter_the_run_changed_is_not_stored(place: Place, tracer: str, change: str) -> None:
    """What stands there afterwards is not what was executed."""
    place.put("s", "#!/bin/sh\necho one\n")
    (place.root / "s").chmod(0o755)
    ended = place.run("--tracer", tracer, "--", "sh", "-c", f"./s; {change}")
    assert "not_whole" in ended.reasons


@pytest.mark.parametrize("tracer", TRACERS)
def test_an_output_that_somebody_is_about_to_write_is_not_stored(place: Place, tracer: str) -> None:
    """He has emptied it while a process of the run could still have done that itself, and has not written yet."""
    command = ("--tracer", tracer, "--", "sh", "-c", "(echo whole; sleep 1) > out")
    out = place.root / "out"
    with ThreadPoolExecutor() as pool:
        run = pool.submit(place.run, *command)
        while not out.exists() or not out.stat().st_size:
            time.sleep(0.01)
        with out.open("w") as other:
            ended = run.result()
            other.write("whole\n")
    assert (ended.outcome, ended.reasons) == ("not_stored", ("foreign_writes",))
    assert place.run(*command).outcome == "miss"
    out.unlink()
    assert place.run(*command).outcome == "hit"
    assert out.read_text() == "whole\n"

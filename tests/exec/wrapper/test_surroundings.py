# SPDX-License-Identifier: Apache-2.0
"""What the interpreter that runs the wrapper would change of the command's surroundings, and does not."""

from __future__ import annotations

import os
import time

import pytest

from tests.exec.wrapper.place import SECONDS, Place

pytestmark = [pytest.mark.strace, pytest.mark.anew]


LOCALES: list[dict[str, str | None]] = [{}, {"LANG": "C"}, {"LANG": "C", "LC_CTYPE": "C"}, {"LC_CTYPE": "C.UTF-8"}]


@pytest.mark.parametrize("options", [(), ("--mode", "off")], ids=["traced", "off"])
@pytest.mark.parametrize("variables", LOCALES, ids=["none", "LANG", "LC_CTYPE", "UTF-8"])
def test_the_locale_is_the_callers(place: Place, options: tuple[str, ...], variables: dict[str, str | None]) -> None:
    ended = place.run(*options, "--", "env", variables=variables)
    told = dict(line.split("=", 1) for line in ended.stdout.decode().splitlines())
    assert {name: told.get(name) for name in ("LANG", "LC_CTYPE")} == {
        name: variables.get(name) for name in ("LANG", "LC_CTYPE")
    }


def test_a_python_path_is_for_the_command_alone(place: Place) -> None:
    for name in ("blake3", "pytrace_cas", "select", "struct"):
        place.put(f"modules/{name}.py", "raise SystemExit('the wrong module')")
    ended = place.run("--", "sh", "-c", "echo $PYTHONPATH", variables={"PYTHONPATH": str(place.root / "modules")})
    assert (ended.status, ended.stdout.decode()) == (0, f"{place.root}/modules\n")
    assert ended.outcome == "miss"


def test_looking_at_a_file_does_not_move_its_time_of_access(place: Place) -> None:
    path = place.put("in", "one\n")
    os.utime(path, (1_000_000_000, 1_100_000_000))
    time.sleep(0.02)
    assert place.run("--", "stat", "-c", "%s", "in").outcome == "miss"
    assert place.run("--", "stat", "-c", "%s", "in").outcome == "hit"
    if os.geteuid() == path.stat().st_uid:
        assert path.stat().st_atime == 1_000_000_000


def test_a_home_that_is_no_absolute_path_is_no_place_for_a_store(place: Place) -> None:
    ended = place.run("--", "echo", "said", variables={"HOME": "relative", "PYTRACE_DIR": None})
    assert (ended.status, ended.stdout, ended.outcome) == (0, b"said\n", "bypass")
    assert not (place.root / "relative").exists()


@pytest.mark.parametrize("tracer", [pytest.param("native", marks=pytest.mark.native), "strace"])
def test_nothing_of_ours_outlives_what_was_left_running(place: Place, tracer: str) -> None:
    script = "(until [ -e over ]; do sleep 0.1; done) >/dev/null 2>&1 & echo early"
    ended = place.run("--tracer", tracer, "--", "sh", "-c", script)
    assert (ended.outcome, ended.reasons) == ("not_stored", ("left_running",))
    place.put("over", "")
    deadline = time.monotonic() + SECONDS
    while (left := _of(place)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def _of(place: Place) -> list[bytes]:
    """Command lines of the processes that have the place's store in their environment: all that we started there."""
    mark = os.fsencode(place.store)
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environment, open(f"/proc/{pid}/cmdline", "rb") as line:
                if mark in environment.read():
                    found.append(line.read())
        except OSError:
            continue
    return found

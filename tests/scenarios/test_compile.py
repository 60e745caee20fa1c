# SPDX-License-Identifier: Apache-2.0
"""One real translation unit through `gcc -c`: what hits, what misses, and what the miss is blamed on."""

from __future__ import annotations

import pytest

from tests.support.scenario import Scenario

pytestmark = [pytest.mark.strace, pytest.mark.compiler]

COMPILE = ("gcc", "-O1", "-Iearly", "-Iinclude", "-c", "src/lapi.c", "-o", "lapi.o")


def test_the_second_run_hits(lua_tree: Scenario) -> None:
    lua_tree.ask(*COMPILE, outcome="miss")
    lua_tree.ask(*COMPILE, outcome="hit")


@pytest.mark.parametrize("command", [("cpp", "one.c"), ("gcc", "-E", "one.c")])
def test_a_preprocessor_is_not_taken_for_what_it_reads(scenario: Scenario, command: tuple[str, ...]) -> None:
    scenario.do("echo 'int one;' > one.c")
    scenario.ask(*command, outcome="miss")
    scenario.ask(*command, outcome="hit")
    scenario.do("echo '#define WHEN __DATE__' >> one.c")
    scenario.ask(*command, outcome="not_stored")


def test_the_date_in_an_argument_is_not_stored(scenario: Scenario) -> None:
    scenario.do("echo 'const char *when = WHEN;' > one.c")
    scenario.ask("gcc", "-DWHEN=__DATE__", "-c", "one.c", outcome="not_stored")


def test_a_deleted_object_comes_back(lua_tree: Scenario) -> None:
    made = lua_tree.ask(*COMPILE, outcome="miss")
    lua_tree.do("rm lapi.o")
    again = lua_tree.ask(*COMPILE, outcome="hit")
    assert again.cached.tree[b"work/lapi.o"] == made.cached.tree[b"work/lapi.o"]


def test_a_second_checkout_hits(lua_tree: Scenario) -> None:
    lua_tree.ask(*COMPILE, outcome="miss")
    lua_tree.anew()
    lua_tree.ask(*COMPILE, outcome="hit", place="second-checkout")


def test_debug_information_belongs_to_its_checkout(lua_tree: Scenario) -> None:
    lua_tree.ask(*COMPILE, "-g", outcome="miss")
    lua_tree.anew()
    lines = lua_tree.explained(*COMPILE, "-g", place="second-checkout")
    assert lines[0].startswith("pytrace: miss ")
    assert any("root" in line or "/second-checkout/" in line for line in lines[1:])
    lua_tree.anew()
    lua_tree.ask(*COMPILE, "-g", outcome="hit")


def test_a_header_that_comes_earlier_misses_and_is_named(lua_tree: Scenario) -> None:
    lua_tree.ask(*COMPILE, outcome="miss")
    lua_tree.do("cp include/lobject.h early/; echo 'extern int earlier;' >> early/lobject.h")
    lines = lua_tree.explained(*COMPILE)
    assert lines[0].startswith("pytrace: miss ")
    assert any("early/lobject.h" in line for line in lines[1:])


def test_a_changed_variable_misses_and_is_named(lua_tree: Scenario) -> None:
    lua_tree.ask(*COMPILE, outcome="miss", variables={"FLAVOUR": "plain"})
    lines = lua_tree.explained(*COMPILE, variables={"FLAVOUR": "sweet"})
    assert lines[0].startswith("pytrace: miss ")
    assert any("FLAVOUR" in line for line in lines[1:])


def test_a_file_that_was_not_read_may_change(lua_tree: Scenario) -> None:
    lua_tree.ask(*COMPILE, outcome="miss")
    lua_tree.do("echo '/* more */' >> src/lvm.c; echo note > src/NOTES; rm src/lgc.c")
    lua_tree.ask(*COMPILE, outcome="hit")


def test_a_changed_header_misses(lua_tree: Scenario) -> None:
    lua_tree.ask(*COMPILE, outcome="miss")
    lua_tree.do("echo 'static const int added = 1;' >> include/lapi.h")
    lua_tree.ask(*COMPILE, outcome="miss")
    lua_tree.anew()
    lua_tree.ask(*COMPILE, outcome="hit")


def test_a_compile_error_is_told_every_time(lua_tree: Scenario) -> None:
    lua_tree.do("echo 'int broken' >> src/lapi.c")
    for _ in range(2):
        pair = lua_tree.ask(*COMPILE, outcome="not_stored")
        assert pair.cached.status == 1
    lua_tree.ask(*COMPILE, outcome="miss", options=("--cache-failures",))
    lua_tree.ask(*COMPILE, outcome="hit", options=("--cache-failures",))

# SPDX-License-Identifier: Apache-2.0
"""Whole build steps: linking, Python, a shell script, tar, make; from a clean tree and again in place."""

from __future__ import annotations

import pytest

from tests.support.runner import interpreter
from tests.support.scenario import Scenario

pytestmark = [pytest.mark.strace]

SCRIPT = """#!/bin/sh
set -e
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
sort data/*.txt | uniq -c > "$scratch"
grep -c . "$scratch" > count
awk '{ total += $1 } END { print total }' "$scratch" | tee total
"""
PYTHON_MAIN = """
import json
import sys
from package import words
print(json.dumps(words.count(open("data/one.txt").read()), sort_keys=True))
with open("words.json", "w") as file:
    json.dump(words.count(open("data/two.txt").read()), file)
"""
PYTHON_MODULE = """
import collections
def count(text):
    return dict(collections.Counter(text.split()))
"""
PARTS = ("lctype", "lmem", "lobject", "lopcodes", "lstring", "ltable", "ltm", "lzio", "lfunc", "ldump")
MAKEFILE = f"""OBJECTS = {" ".join(f"src/{part}.o" for part in PARTS)}
liblua.a: $(OBJECTS)
\tar rc $@ $(OBJECTS)
%.o: %.c
\tgcc -Iinclude -c -o $@ $<
"""
APP = """
#include <stdio.h>
int twice(int);
int main(void) { printf("%d\\n", twice(21)); return 0; }
"""


@pytest.fixture
def step(scenario: Scenario) -> Scenario:
    """A small project with data, a package, a script and two C files, all of them old."""
    for path, content in {
        "data/one.txt": "a b\nc a\n", "data/two.txt": "a b\nd\n", "main.py": PYTHON_MAIN, "step.sh": SCRIPT,
        "package/__init__.py": "", "package/words.py": PYTHON_MODULE, "main.c": APP,
        "twice.c": "int twice(int one) { return 2 * one; }\n",
    }.items():  # fmt: skip
        scenario.do(f"mkdir -p $(dirname {path}); cat > {path} <<'END_OF_FILE'\n{content}END_OF_FILE\n")
    scenario.do("chmod +x step.sh; find . -exec touch -d @1500000000 {} +")
    scenario.keep()
    return scenario


def hits_from_a_clean_tree(scenario: Scenario, *command: str) -> None:
    """Run once, then twice more from the same clean tree: both hit, without a flag."""
    scenario.ask(*command, outcome="miss")
    for _ in range(2):
        scenario.anew()
        scenario.ask(*command, outcome="hit")


def hits_in_place(scenario: Scenario, *command: str, runs: int) -> None:
    """Run from a clean tree and then in place: the run of that number is the first that must hit."""
    scenario.anew()
    for _ in range(runs - 1):
        scenario.ask(*command, outcome="miss|hit")
    for _ in range(2):
        scenario.ask(*command, outcome="hit")


@pytest.mark.compiler
def test_compiling_and_linking(step: Scenario) -> None:
    command = ("gcc", "-o", "app", "main.c", "twice.c")
    hits_from_a_clean_tree(step, *command)
    hits_in_place(step, *command, runs=2)
    step.do("./app | grep -q 42")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param((interpreter(), "main.py"), id="python with imports"),
        pytest.param(("./step.sh",), id="shell script with pipes and temporary files"),
        pytest.param(("tar", "cf", "data.tar", "data"), id="tar of a subfolder"),
        pytest.param(("tar", "czf", "data.tar.gz", "-C", "data", "."), id="compressed tar"),
    ],
)
def test_other_steps(step: Scenario, command: tuple[str, ...]) -> None:
    hits_from_a_clean_tree(step, *command)
    hits_in_place(step, *command, runs=3)
    step.do("echo more >> data/two.txt")
    step.ask(*command, outcome="miss")


def test_a_second_checkout_of_a_tar_step_agrees(step: Scenario) -> None:
    command = ("tar", "cf", "data.tar", "data")
    step.ask(*command, outcome="miss")
    step.anew()
    step.do("touch -d @1600000000 data/one.txt")
    step.ask(*command, outcome="miss", place="second-checkout")


@pytest.fixture
def project(lua_tree: Scenario) -> Scenario:
    """A part of Lua with a makefile."""
    lua_tree.do(f"cat > Makefile <<'END_OF_FILE'\n{MAKEFILE}END_OF_FILE\ntouch -d @1500000000 Makefile .")
    lua_tree.keep()
    return lua_tree


@pytest.mark.make
def test_make_of_a_real_library(project: Scenario) -> None:
    hits_from_a_clean_tree(project, "make")
    hits_in_place(project, "make", runs=3)
    last = project.ask("make")
    assert b"up to date" in last.cached.stdout


@pytest.mark.make
def test_make_after_its_outputs_were_removed_by_hand(project: Scenario) -> None:
    """What `make` lists is newer afterwards than what it compares; that is not one of the times it decides by."""
    project.ask("make", outcome="miss")
    for _ in range(2):
        project.do("rm liblua.a src/*.o")
        project.ask("make", outcome="hit")


@pytest.mark.make
def test_the_time_of_a_folder_that_is_a_prerequisite_counts(step: Scenario) -> None:
    step.do("printf 'stamp: data data/one.txt\\n\\tcat $^/* data/one.txt > stamp 2>&1; true\\n' > Makefile")
    step.ask("make", outcome="miss")
    step.ask("make", outcome="miss|hit")
    assert b"up to date" in step.ask("make", outcome="hit").cached.stdout
    step.do("sleep 0.02; touch data/new; rm data/new")
    assert b"up to date" not in step.ask("make", outcome="miss").cached.stdout


@pytest.mark.make
def test_make_runs_after_a_touch_and_is_then_up_to_date(project: Scenario) -> None:
    project.ask("make", outcome="miss")
    project.do("touch src/lmem.c")
    touched = project.ask("make", outcome="miss")
    assert b"src/lmem.c" in touched.cached.stdout
    after = project.ask("make")
    assert b"up to date" in after.cached.stdout


@pytest.mark.make
def test_a_replayed_make_leaves_times_that_make_accepts(project: Scenario) -> None:
    project.ask("make", outcome="miss")
    project.anew()
    project.ask("make", outcome="hit")
    project.do("make | grep -q 'up to date'")
    project.do("touch src/ltm.c; make -n | grep -q src/ltm.c")

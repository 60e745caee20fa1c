# SPDX-License-Identifier: Apache-2.0
"""A `.pyc` counts by its meaning where Python imports it, by its bytes elsewhere, and is left valid by a replay.

Trees are compared with a word on whether each `.pyc` fits its source, so that every `ask` checks the last of these.
"""

from __future__ import annotations

import pytest

from tests.support.runner import interpreter
from tests.support.scenario import Scenario

pytestmark = [pytest.mark.strace]

OTHER_TIMES = "find . -name '*.py' -exec touch -d @1600000000 {} +"
IMPORTING = (interpreter(), "-S", "main.py")
HASHING = "import glob, hashlib, one; print([hashlib.md5(open(p, 'rb').read()).hexdigest() for p in {}])"


@pytest.fixture
def project(scenario: Scenario) -> Scenario:
    """A script with a module and a package, all of them old."""
    scenario.do(
        "mkdir package; echo 'import one, package; print(one.VALUE, package.VALUE)' > main.py;"
        "echo 'VALUE = 1' > one.py; echo 'VALUE = 2' > package/__init__.py;"
        "find . -exec touch -d @1500000000 {} +"
    )
    scenario.keep()
    return scenario


def settled(project: Scenario, *command: str) -> None:
    """Run until the bytecode is there and a further run hits."""
    project.ask(*command, outcome="miss")
    project.ask(*command)
    project.ask(*command, outcome="hit")


def test_a_checkout_with_other_times_hits_without_and_with_bytecode(project: Scenario) -> None:
    settled(project, *IMPORTING)
    project.anew()
    project.do(OTHER_TIMES)
    project.ask(*IMPORTING, outcome="hit")
    project.ask(*IMPORTING, outcome="hit")
    project.do(f"{interpreter()} -S -v main.py 2>&1 | grep -q 'matches.*one.py'")


def test_bytecode_with_times_of_its_own_counts_by_its_code(project: Scenario) -> None:
    settled(project, *IMPORTING)
    project.do(f"rm -r __pycache__ package/__pycache__; {OTHER_TIMES}; {interpreter()} -S main.py")
    project.ask(*IMPORTING, outcome="hit")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("echo 'VALUE = 3' > one.py", id="source"),
        pytest.param("echo 'VALUE = 3' > one.py; touch -d @1500000000 one.py", id="source behind its stamp"),
        pytest.param("touch -d @1400000000 one.py", id="stamp that fits no more"),
        pytest.param("printf x | dd of=$(echo __pycache__/one.*) bs=1 seek=9 conv=notrunc 2>&1", id="stamp"),
        pytest.param("sed -i s/VALUE/VALUX/ __pycache__/one.*", id="code"),
        pytest.param(": > $(echo __pycache__/one.*)", id="empty"),
        pytest.param("ln -sf ../one.py $(echo __pycache__/one.*)", id="link"),
    ],
)
def test_what_python_tells_apart_misses(project: Scenario, change: str) -> None:
    settled(project, *IMPORTING)
    project.do(change)
    project.ask(*IMPORTING, outcome="miss|not_stored")
    project.ask(*IMPORTING, outcome="miss|hit|not_stored")


def test_stale_bytecode_counts_as_stale_whatever_it_holds(project: Scenario) -> None:
    settled(project, *IMPORTING)
    for value, outcome in ((3, "miss"), (1, "miss"), (3, "hit"), (1, "hit")):
        project.do(f"echo 'VALUE = {value}' > one.py; touch -d @17{value}0000000 one.py")
        project.ask(*IMPORTING, outcome=outcome)


def test_bytecode_that_is_read_as_a_file_counts_by_its_bytes(project: Scenario) -> None:
    command = (interpreter(), "-S", "-c", HASHING.format("sorted(glob.glob('__pycache__/*'))"))
    settled(project, *command)
    project.do(f"rm -r __pycache__; {OTHER_TIMES}; {interpreter()} -S -c 'import one'")
    project.ask(*command, outcome="miss")


def test_a_copied_file_is_no_compiled_one(project: Scenario) -> None:
    project.do(f"{interpreter()} -S -c 'import one'; mv __pycache__ kept")
    project.keep()
    command = ("sh", "-c", "mkdir __pycache__; cat one.py; cp kept/one.* __pycache__/")
    project.ask(*command, outcome="miss")
    project.anew()
    project.do(OTHER_TIMES)
    project.ask(*command, outcome="hit")


def test_bytecode_of_a_generated_module_fits_it(project: Scenario) -> None:
    command = ("sh", "-c", f"echo 'VALUE = 4' > made.py; {interpreter()} -S -c 'import made; print(made.VALUE)'")
    for _ in range(2):
        project.anew()
        pair = project.ask(*command)
    assert pair.record.outcome == "hit"


def test_strict_counts_bytes(project: Scenario) -> None:
    for _ in range(3):
        project.ask(*IMPORTING, options=("--strict",))
    project.do(f"rm -r __pycache__ package/__pycache__; {OTHER_TIMES}; {interpreter()} -S main.py")
    project.ask(*IMPORTING, options=("--strict",), outcome="miss")

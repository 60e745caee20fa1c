# SPDX-License-Identifier: Apache-2.0
"""The end of a test that hangs, in sessions of their own."""

from __future__ import annotations

import pytest

from tests.support.time_limit import TimeLimit
from tests.support.waiting import NeverCame, until

HANGING = """
    import subprocess, threading

    def test_before():
        pass

    def test_a_program():
        with subprocess.Popen(["sleep", "98765"]) as process:
            process.wait()

    def test_a_lock():
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()

    def test_after():
        pass
"""


def test_a_test_that_hangs_fails_and_says_what_it_waited_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(HANGING)
    result = pytester.runpytest_inprocess("-p", "no:asyncio", plugins=[TimeLimit(0.5)])
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*not done after * s", "*running: * S sleep 98765*", "FAILED *::test_a_lock*"])


def test_what_never_comes_is_told() -> None:
    until(lambda: True, "nothing", 0)
    with pytest.raises(NeverCame, match="the sun at night: not within 0 s"):
        until(lambda: False, "the sun at night", 0.05)

# SPDX-License-Identifier: Apache-2.0
"""The oracle's rounds: no run through the wrapper may be told from a plain one."""

from __future__ import annotations

import os

import pytest

from tests.oracle.soak import Batch, Findings, explain, try_all
from tests.support.runner import wrapper_command

pytestmark = [pytest.mark.strace, pytest.mark.slow]

DEFAULT = Batch(first=0, count=200, wrapper=wrapper_command())
STRICT = Batch(first=1000, count=100, wrapper=wrapper_command(), strict=True)


@pytest.mark.parametrize("batch", [pytest.param(DEFAULT, id="default"), pytest.param(STRICT, id="strict")])
def test_no_difference(batch: Batch, capsys: pytest.CaptureFixture[str]) -> None:
    findings = try_all(batch, min(os.cpu_count() or 1, 2))
    with capsys.disabled():
        print(f"\noracle, {'strict' if batch.strict else 'default'}:\n{findings.shares.report()}")
    if findings.caught:
        pytest.fail(explain(findings.caught, batch.wrapper), pytrace=False)
    assert_worth(findings)


def assert_worth(findings: Findings) -> None:
    """Refuse rounds that prove little: too few hits to be wrong about, too few changes to notice."""
    shares = findings.shares
    assert shares.hits * 2 >= shares.asked
    assert shares.changed * 4 >= shares.asked

# SPDX-License-Identifier: Apache-2.0
"""The oracle's rounds: no run through the wrapper may be told from a plain one."""

from __future__ import annotations

import os

import pytest

from tests.oracle.soak import Batch, Findings, explain, try_all
from tests.support.runner import wrapper_command

pytestmark = pytest.mark.slow

NATIVE = (*wrapper_command(), "--tracer", "native")
STRACE = (*wrapper_command(), "--tracer", "strace")
BATCHES = {
    "native": Batch(first=0, count=70, wrapper=NATIVE),
    "strace": Batch(first=100, count=70, wrapper=STRACE),
    "native, strict": Batch(first=1000, count=35, wrapper=NATIVE, strict=True),
    "strace, strict": Batch(first=1050, count=35, wrapper=STRACE, strict=True),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=getattr(pytest.mark, name.partition(",")[0])) for name in BATCHES]
)
def test_no_difference(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    batch = BATCHES[name]
    findings = try_all(batch, min(os.cpu_count() or 1, 2))
    with capsys.disabled():
        print(f"\noracle, {name}:\n{findings.shares.report()}")
    if findings.caught:
        pytest.fail(explain(findings.caught, batch.wrapper), pytrace=False)
    assert_worth(findings)


def assert_worth(findings: Findings) -> None:
    """Refuse rounds that prove little: too few hits to be wrong about, too few changes to notice."""
    shares = findings.shares
    assert shares.hits * 2 >= shares.asked
    assert shares.changed * 4 >= shares.asked

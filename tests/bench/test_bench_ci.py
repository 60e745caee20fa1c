# SPDX-License-Identifier: Apache-2.0
"""`python -m bench ci --quick`: a check is measured, and fetches no blob."""

from __future__ import annotations

import pytest

from tests.bench.printed import bench, rows

pytestmark = [pytest.mark.git]


def test_a_check_fetches_nothing() -> None:
    printed = bench("ci", "--quick")
    _, *told = rows(printed, "A check in a bare clone")
    assert [row[-1] for row in told] == ["0", "0"]
    _, size = rows(printed, "Size of that record")
    assert 0 < float(size[1]) < 6

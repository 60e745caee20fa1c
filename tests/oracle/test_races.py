# SPDX-License-Identifier: Apache-2.0
"""A command writes over what another has made and left alone: asked again, that is not answered by it."""

from __future__ import annotations

import pytest

from tests.oracle.rounds import Round, Step, play
from tests.oracle.script import do
from tests.oracle.soak import PREFIX
from tests.support.runner import wrapper_command
from tests.support.sandbox import Sandbox

WORLD = (
    do("write", "in1", "one\n"), do("write", "in2", "two\n"), do("stamp", "in1", 1_200_000_000),
    do("stamp", "in2", 1_200_001_000),
)  # fmt: skip
LEAD = 0.3
FIRST = f"cp in1 out1; sleep {2 * LEAD}"


@pytest.mark.parametrize("rival", ["cat in2 > out1", "cp in2 t; mv t out1", "echo x >> out1"])
@pytest.mark.parametrize(
    "tracer", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("native", "strace")]
)
def test_what_another_command_wrote_over_an_output_is_not_stored(tracer: str, rival: str) -> None:
    raced = Step(who="both", lead=LEAD, loose=True)
    steps = (raced, Step(anew=False), Step(who="rival"), Step())
    one = Round("races", 0, WORLD, (do("line", FIRST),), steps, kind="shell", rival=(do("line", rival),))
    with Sandbox(PREFIX) as sandbox:
        played = play(one, sandbox, (*wrapper_command(), "--tracer", tracer))
    assert not played.differences

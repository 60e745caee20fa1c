# SPDX-License-Identifier: Apache-2.0
"""The oracle itself on trial: with any one kind of fact switched off, it must catch the wrapper."""

from __future__ import annotations

import pytest

from tests.oracle import blinded
from tests.oracle.rounds import play
from tests.oracle.soak import PREFIX, Batch, try_batch
from tests.support.runner import wrapper_command
from tests.support.sandbox import Sandbox

pytestmark = [pytest.mark.strace]

ROUNDS = 40


@pytest.mark.parametrize("kind", blinded.KINDS)
def test_a_blind_wrapper_is_caught(kind: str) -> None:
    batch = Batch(first=0, count=ROUNDS, wrapper=blinded.command(kind), strict=True, focus=kind)
    caught = try_batch(batch).caught
    assert caught is not None, f"{ROUNDS} rounds passed without facts of kind {kind}"
    assert caught.turns[-1].pair.record.outcome == "hit"
    with Sandbox(PREFIX) as sandbox:
        assert not play(caught.round, sandbox, wrapper_command()).failed

# SPDX-License-Identifier: Apache-2.0
"""The oracle's own parts: escaping, shrinking, steadiness of what it generates, and the script it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle import interpreter, script
from tests.oracle.blinded import KINDS
from tests.oracle.generate import generate
from tests.oracle.operations import IDIOMS
from tests.oracle.repeat import shell_script
from tests.oracle.rounds import Round, prepare, steady
from tests.oracle.shrink import shrink
from tests.oracle.soak import PREFIX
from tests.support.runner import Outcome, Runner, wrapper_command
from tests.support.sandbox import Sandbox


@given(st.binary().filter(lambda word: not word.startswith((b"~/", b"^/"))))
def test_words_survive(word: bytes) -> None:
    escaped = script.escaped(word)
    assert interpreter.decode(escaped) == word
    assert not set(escaped) & set(" \n")


def test_every_kind_of_fact_has_an_idiom() -> None:
    assert {kind for idiom in IDIOMS for kind in idiom.kinds} >= set(KINDS)


def test_a_seed_always_gives_the_same_round() -> None:
    assert generate(7) == generate(7)
    assert generate(7) != generate(8)


def test_shrinking_keeps_only_what_fails() -> None:
    def fails(one: Round) -> bool:
        return b"stamp in1" in script.text(one.world) and any(step.changes for step in one.steps)

    seed = next(seed for seed in range(100) if fails(generate(seed)))
    small = shrink(generate(seed), fails)
    assert [instruction.name for instruction in small.world] == ["stamp"]
    assert small.program == ()
    assert [len(step.changes) for step in small.steps] == [1]


def test_blocks_are_cut_from_the_inside_too() -> None:
    inner = script.do("read", "a")
    whole = (script.block("child", body=(inner, script.block("in", "d", body=(inner,)))),)
    assert (inner,) in [cut for one in script.cuts(whole) for cut in script.cuts(one)]


def test_plain_runs_are_steady() -> None:
    with Sandbox(PREFIX) as sandbox:
        for seed in range(8):
            assert steady(generate(seed), sandbox), f"seed {seed}"


@pytest.mark.compiler
def test_both_interpreters_do_the_same() -> None:
    with Sandbox(PREFIX) as sandbox:
        for seed in range(20):
            one = attrs.evolve(generate(seed, only="operations"), streams="pipes")
            outcomes = [_plain(attrs.evolve(one, python=python), sandbox) for python in (False, True)]
            assert outcomes[0] == outcomes[1], f"seed {seed}"


def _plain(one: Round, sandbox: Sandbox) -> Outcome:
    prepare(one, sandbox)
    return Runner(sandbox).plain(one.invocation(one.steps[0], sandbox.base))


@pytest.mark.strace
@pytest.mark.compiler
@pytest.mark.parametrize("seed", [1, 2])
def test_the_printed_script_repeats_a_round(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "repeat.sh"
    path.write_text(shell_script(generate(seed)))
    variables = {**os.environ, "WRAPPER": " ".join(wrapper_command()), "PYTHON": os.path.realpath(sys.executable)}
    played = subprocess.run(["sh", str(path)], env=variables, capture_output=True, check=False)
    assert played.returncode == 0, played.stdout
    assert b"no difference" in played.stdout

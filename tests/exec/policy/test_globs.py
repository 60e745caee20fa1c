# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytrace_exec.policy.globs import Globs
from pytrace_exec.policy.programs import COMPILERS

pieces = st.lists(st.sampled_from(["a", "b", ".", "-", "*", "?", "[ab]", "[!a]", "[]b]", "["]), max_size=6)
globs = pieces.map("".join)
names = st.text("ab.-]*[", max_size=6)


@settings(deadline=None)
@given(st.lists(globs, max_size=4), names)
def test_a_set_matches_what_one_of_its_globs_matches(chosen: list[str], name: str) -> None:
    assert (name in Globs(chosen)) == any(fnmatchcase(name, glob) for glob in chosen)


@pytest.mark.parametrize(
    ("name", "compiles"),
    [
        ("gcc", True), ("gcc-12", True), ("x86_64-linux-gnu-gcc", True), ("x86_64-linux-gnu-gcc-12", True),
        ("clang-14", True), ("sh", False), ("gcc-ar", True), ("my-gcc-x", False), ("Xgcc", False), ("", False),
    ],
)  # fmt: skip
def test_compilers_by_name(name: str, compiles: bool) -> None:
    assert (name in Globs(COMPILERS.split())) == compiles

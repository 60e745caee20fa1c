# SPDX-License-Identifier: Apache-2.0
"""A repository and a store of its own for each test, not in pytest's temporary folder, which tools treat as scratch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import tree
from tests.support.repositories import Pytrace, Repository, ci_zygote
from tests.support.zygote import Zygote

__all__ = ["ci_zygote"]


@pytest.fixture
def pytrace(ci_zygote: Zygote) -> Iterator[Pytrace]:
    """The command line with an empty home and an empty store."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="pytrace-ci-")))
    for name in ("home", "tmp"):
        (base / name).mkdir()
    try:
        yield Pytrace(ci_zygote, base)
    finally:
        tree.remove(os.fsencode(base))


@pytest.fixture
def repository(pytrace: Pytrace) -> Repository:
    """A small project."""
    return Repository.make(
        pytrace.base / "work", pytrace, src__a="a\n", src__b="b\n", docs__x="x\n", listed__one="1\n", README="r\n"
    )

# SPDX-License-Identifier: Apache-2.0
"""Which operand is an archiver's own archive."""

from __future__ import annotations

import pytest

from pytrace_exec.observe.processes import Program
from pytrace_exec.policy.archives import own_archive

ROWS = [
    ("tar cf out.tar x.tar", b"out.tar"),
    ("tar czf out.tgz -C data .", b"out.tgz"),
    ("tar cbf 20 out.tar x", b"out.tar"),
    ("tar cfb out.tar 20 x", b"out.tar"),
    ("tar -cf out.tar x", b"out.tar"),
    ("tar -czfout.tgz x", b"out.tgz"),
    ("tar -c x -f sub/out.tar", b"sub/out.tar"),
    ("tar --create --file=out.tar x", b"out.tar"),
    ("tar --create --file out.tar x", b"out.tar"),
    ("tar -C data -cf out.tar f", b"out.tar"),
    ("tar --sort=name --mtime=@0 --owner=0 -cf out.tar x", b"out.tar"),
    ("tar -cf out.tar -- -f x", b"out.tar"),
    ("tar -cf out.tar --mtime=./out.tar x", None),
    ("tar -cf out.tar -N ./out.tar x", None),
    ("tar -cf out.tar --newer=./out.tar x", None),
    ("tar uf out.tar x", None),
    ("tar -cMf a.tar -f b.tar x", None),
    ("tar cf - x", None),
    ("tar c x", None),
    ("tar", None),
    ("zip out.zip x", b"out.zip"),
    ("zip -r9 out x", b"out.zip"),
    ("zip -t 2020 out.zip x", None),
    ("zip -r", None),
    ("ar rcs lib.a a.o", b"lib.a"),
    ("ar -rc lib.a a.o", b"lib.a"),
    ("x86_64-linux-gnu-gcc-ar qc lib.a a.o", b"lib.a"),
    ("ar rb a.o lib.a b.o", None),
    ("ar ru lib.a a.o", None),
    ("ls out.tar", None),
    ("bsdtar cf out.tar x", None),
]


@pytest.mark.parametrize(("line", "archive"), ROWS, ids=[line for line, _ in ROWS])
def test_own_archive(line: str, archive: bytes | None) -> None:
    argv = tuple(word.encode() for word in line.split())
    found = own_archive(Program(1, 0, b"/usr/bin/" + argv[0], argv), b"/place/at")
    assert found == (None if archive is None else b"/place/at/" + archive)

# SPDX-License-Identifier: Apache-2.0
"""Programs that meet errors: each is a fact of its own."""

from __future__ import annotations

from tests.corpus.case import Case, calling, python

TRY = "try: {}\nexcept OSError as error: print(error)"

CASES = (
    Case(
        "a folder opened for writing",
        python(TRY.format("os.open('d', os.O_WRONLY)")),
        given="mkdir d",
        facts="error d : dir",
        misses=("rmdir d", "rmdir d; touch d"),
        hits=("touch d/x",),
    ),
    Case(
        "a folder where a file is to be made",
        python(TRY.format("os.open('d', os.O_WRONLY | os.O_CREAT)")),
        given="mkdir d",
        facts="error/l d : dir",
        misses=("rmdir d",),
        hits=("touch d/x",),
    ),
    Case(
        "a file in a folder that is not there",
        python(TRY.format("os.open('d/out', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)")),
        given="true",
        facts="""
            error/l d/out : ENOENT
            error d : ENOENT
        """,
        misses=("mkdir d",),
    ),
    Case(
        "a name that is too long for a file",
        python(TRY.format("os.readlink('d/' + 300 * 'n')")),
        given="mkdir d",
        facts=f"error/l d/{300 * 'n'} : ENAMETOOLONG",
        misses=("rmdir d",),
    ),
    Case(
        "a file that must be new and is not",
        python(TRY.format("os.open('out', os.O_WRONLY | os.O_CREAT | os.O_EXCL)")),
        given="touch out",
        facts="change/l out : file",
        misses=("rm out",),
        hits=("echo x > out",),
    ),
    Case(
        "a name that is too long",
        python(TRY.format("os.open('x' * 300, 0)")),
        facts="",
        hits=("touch x",),
    ),
    Case(
        "no name at all",
        python(TRY.format("os.open('', 0)")),
        facts="",
        hits=("touch x",),
    ),
    Case(
        "no path at all",
        calling("print(libc.open(None, 0))"),
        facts="",
        hits=("touch x",),
    ),
    Case(
        "a folder moved into itself",
        python(TRY.format("os.rename('d', 'd/e')")),
        given="mkdir d",
        facts="""
            error/l d : dir
            error/l d/e : ENOENT
        """,
        misses=("rmdir d",),
    ),
    Case(
        "a file removed as a folder, and a folder as a file",
        python(TRY.format("os.rmdir('in')") + "\n" + TRY.format("os.unlink('d')")),
        given="touch in; mkdir d",
        facts="""
            error/l in : file
            error/l d : dir
        """,
        misses=("rmdir d", "rm in"),
        hits=("echo x > in; touch d/x",),
    ),
    Case(
        "a name removed that is not there",
        python(TRY.format("os.unlink('none')")),
        given="true",
        facts="""
            error/l none : ENOENT
            error . : dir
        """,
        misses=("touch none", "ln -s nowhere none"),
        hits=("touch other",),
    ),
    Case(
        "a file with a slash behind it",
        python(TRY.format("os.stat('in/')")),
        facts="""
            error in : file
            order in : order
        """,
        misses=("rm in; mkdir in", "rm in"),
    ),
    Case(
        "a hard link to a folder",
        python(TRY.format("os.link('d', 'x')")),
        given="mkdir d",
        reasons=("unknown_error",),
    ),
)

# SPDX-License-Identifier: Apache-2.0
"""Programs that rename files, links and folders, over nothing and over others."""

from __future__ import annotations

from tests.corpus.case import Case, calling, python

CASES = (
    Case(
        "a file to a new name",
        python("os.rename('a', 'b')"),
        given="echo one > a",
        facts="""
            change/l a : file
            content a : =a
            target/0644 b : plain
        """,
        outputs="moved b < a",
        misses=("echo two > a", "rm a; mkdir a", "mkdir b"),
        hits=("true", "touch a"),
    ),
    Case(
        "a file over another",
        python("os.rename('a', 'b')"),
        given="echo one > a; echo old > b",
        facts="""
            change/l a : file
            content a : =a
            target/0644 b : plain
        """,
        outputs="moved b < a",
        misses=("chmod 600 b", "rm b; ln -s a b"),
        hits=("true", "rm b", "echo other > b"),
    ),
    Case(
        "no replacing, nothing there",
        calling("libc.renameat2(-100, b'a', -100, b'b', 1)"),
        given="echo one > a",
        facts="""
            change/l a : file
            content a : =a
            change/l b : ENOENT
        """,
        outputs="moved b < a",
        misses=("echo two > a", "echo old > b"),
    ),
    Case(
        "no replacing, something there",
        calling("print(libc.renameat2(-100, b'a', -100, b'b', 1))"),
        given="echo one > a; echo old > b",
        facts="""
            error/empty a : file
            change/l a : file
            error/empty b : file
            change/l b : file
        """,
        misses=("rm b",),
        hits=("echo two > a; echo other > b",),
    ),
    Case(
        "two files exchanged",
        calling("libc.renameat2(-100, b'a', -100, b'b', 2)"),
        given="echo one > a; echo two > b",
        facts="""
            change/l a : file
            content a : =a
            change/l b : file
            content b : =b
        """,
        outputs="""
            moved a < b
            moved b < a
        """,
        misses=("echo three > a", "echo three > b", "rm b"),
        hits=(),  # a replay does not undo a ring of renames
    ),
    Case(
        "two names of one file, which a rename leaves alone",
        python("os.rename('a', 'b'); print(sorted(os.listdir('.')))"),
        given="echo one > a; ln a b",
        reasons=("many_links",),
    ),
    Case(
        "a folder with what is in it",
        python("os.rename('d', 'e')"),
        given="mkdir -p d/sub; echo one > d/sub/f; ln -s sub/f d/l",
        facts="""
            change/l d : dir
            error/empty e : ENOENT
            change/l e : ENOENT
            listing d : {sub/ l@}
            link d/l : -> sub/f
            listing d/sub : {f}
            content d/sub/f : =d/sub/f
        """,
        outputs="moved e < d",
        misses=("echo two > d/sub/f", "touch d/new", "mkdir e; touch e/x"),
    ),
    Case(
        "a link",
        python("os.rename('l', 'm')"),
        given="ln -s in l",
        facts="""
            change/l l : symlink
            link l : -> in
            target m : ENOENT
        """,
        outputs="moved m < l",
        misses=("ln -sf other l", "echo x > m"),
    ),
    Case(
        "what is gone",
        python("try: os.rename('a', 'b')\nexcept OSError as error: print(error)"),
        given="true",
        facts="""
            error/l a : ENOENT
            error . : dir
            error/l b : ENOENT
        """,
        misses=("echo one > a",),
    ),
    Case(
        "a file over a folder",
        python("try: os.rename('a', 'd')\nexcept OSError as error: print(error)"),
        given="echo one > a; mkdir d",
        facts="""
            error/l a : file
            error/l d : dir
        """,
        misses=("rmdir d", "rm a; mkdir a"),
        hits=("echo two > a", "touch d/x"),
    ),
    Case(
        "a folder over one that is not empty",
        python("try: os.rename('d', 'e')\nexcept OSError as error: print(error)"),
        given="mkdir d e; touch e/x d/y",
        facts="""
            change/l d : dir
            error/empty d : not empty
            change/l e : dir
            error/empty e : not empty
        """,
        misses=("rm e/x",),
    ),
    Case(
        "a file read, then replaced by another",
        python("print(os.read(os.open('f', 0), 9)); os.rename('g', 'f')"),
        given="echo one > f; echo two > g",
        facts="""
            content f : =f
            change/l g : file
            content g : =g
            target/0644 f : plain
        """,
        outputs="moved f < g",
        misses=("echo three > f", "mv g f; echo three > g"),
        covers="A22",
    ),
    Case(
        "a file renamed, then read under its new name",
        python("os.rename('a', 'b'); print(os.read(os.open('b', 0), 9))"),
        given="echo one > a",
        facts="""
            change/l a : file
            content a : =a
            target/0644 b : plain
        """,
        outputs="moved b < a",
        misses=("echo two > a",),
    ),
    Case(
        "a folder renamed while the process is in it",
        python("os.mkdir('d'); os.chdir('d'); os.rename('../d', '../e'); print(os.read(os.open('../in', 0), 9))"),
        facts="""
            change/l d : ENOENT
            change/l e : ENOENT
            error/empty e : ENOENT
            content in : =in
        """,
        outputs="dir e 0755",
        covers="A50",
    ),
)

# SPDX-License-Identifier: Apache-2.0
"""Programs that follow, read and make symbolic and hard links."""

from __future__ import annotations

from tests.corpus.case import Case, python

READ = "print(os.read(os.open({}, os.O_RDONLY), 99))"

CASES = (
    Case(
        "a file behind a link",
        python(READ.format("'l'")),
        given="echo one > f; ln -s f l",
        facts="""
            link l : -> f
            content f : =f
        """,
        misses=("echo two > f", "echo three > g; ln -sf g l", "rm l; echo four > l"),
    ),
    Case(
        "a file in a folder behind a link",
        python(READ.format("'d/x/f'")),
        given="mkdir -p d v1/x v2/x; rmdir d; ln -s v1 d; echo one > v1/x/f; echo two > v2/x/f",
        facts="""
            link d : -> v1
            content v1/x/f : =v1/x/f
        """,
        misses=("rm d; ln -s v2 d", "echo three > v1/x/f"),
        covers="A05",
    ),
    Case(
        "links to links, one of them absolute",
        python(READ.format("'first'")),
        given='echo one > f; ln -s second first; ln -s "$PWD/f" second; echo two > g',
        facts="""
            link first : -> second
            link second : -> f
            content f : =f
        """,
        misses=("ln -sf g second",),
        covers="A06",
    ),
    Case(
        "out of a folder behind a link by `..`",
        python(READ.format("'l/../f'")),
        given="mkdir -p other/dir another/dir; ln -s other/dir l; echo one > other/f; echo two > another/f",
        facts="""
            link l : -> other/dir
            change/l other/dir : dir
            content other/f : =other/f
        """,
        misses=("rm l; ln -s another/dir l",),
        covers="A11",
    ),
    Case(
        "a link that leads nowhere",
        python("try: os.open('l', 0)\nexcept OSError as error: print(error)"),
        given="ln -s none l",
        facts="""
            link l : -> none
            error none : ENOENT
        """,
        misses=("echo one > none", "rm l; echo two > l"),
    ),
    Case(
        "links in a circle",
        python("try: os.open('a', 0)\nexcept OSError as error: print(error)"),
        given="ln -s b a; ln -s a b",
        facts="""
            link a : -> b
            link b : -> a
            error a : ELOOP
        """,
        misses=("rm b; echo one > b",),
    ),
    Case(
        "a link that leaves the root",
        python(READ.format("'l'")),
        given="echo one > ../home/f; ln -s ../home/f l; echo two > ../home/g",
        facts="""
            content l : =../home/f
            change/l . : dir
        """,
        misses=("echo three > ../home/f", "ln -sf ../home/g l"),
        hits=("true", "cp ../home/f same; ln -sf same l"),
    ),
    Case(
        "what a link says",
        python("print(os.readlink('l'))"),
        given="ln -s some/where l",
        facts="link l : -> some/where",
        misses=("ln -sf else/where l", "rm l; touch l"),
        hits=("mkdir some; touch some/where",),
    ),
    Case(
        "what a file says that is no link",
        python("try: os.readlink('in')\nexcept OSError as error: print(error)"),
        facts="link in : EINVAL",
        misses=("rm in; ln -s x in", "rm in"),
        hits=("echo two > in",),
    ),
    Case(
        "a link that must not be followed",
        python("try: os.open('l', os.O_NOFOLLOW)\nexcept OSError as error: print(error)"),
        given="echo one > f; ln -s f l",
        facts="error/l l : symlink",
        misses=("rm l; cp f l",),
        hits=("echo two > f", "ln -sf g l"),
    ),
    Case(
        "a file that must be no link",
        python("try: print(os.read(os.open('f', os.O_NOFOLLOW), 99))\nexcept OSError as error: print(error)"),
        given="echo one > f",
        facts="""
            content f : =f
            error/l f : file
        """,
        misses=("mv f g; ln -s g f", "echo two > f"),
        hits=("cp f g; mv g f",),
    ),
    Case(
        "nothing that must be no link",
        python("try: os.open('l', os.O_NOFOLLOW)\nexcept OSError as error: print(error)"),
        facts="""
            error l : ENOENT
            error/l l : ENOENT
        """,
        misses=("ln -s nowhere l", "touch l"),
        hits=("touch f",),
    ),
    Case(
        "the attribute of a link that is not there",
        python("try: os.getxattr('l', 'user.a', follow_symlinks=False)\nexcept OSError as error: print(error)"),
        facts="""
            error l : ENOENT
            error/l l : ENOENT
        """,
        misses=("ln -s nowhere l",),
        hits=("touch f",),
    ),
    Case(
        "times of a link that is not there",
        python("try: os.utime('l', (1, 1), follow_symlinks=False)\nexcept OSError as error: print(error)"),
        facts="""
            error l : ENOENT
            error/l l : ENOENT
        """,
        misses=("ln -s nowhere l",),
        hits=("touch f",),
    ),
    Case(
        "asking of a link itself whether it may be used",
        python("print(os.access('l', os.R_OK, follow_symlinks=False))"),
        given="ln -s f l",
        facts="error/l l : symlink",
        misses=("rm l",),
        hits=("echo one > f",),
    ),
    Case(
        "a link made",
        python("os.symlink('in', 'l'); " + READ.format("'l'")),
        facts="""
            change/l l : ENOENT
            content in : =in
        """,
        outputs="symlink l -> in",
        misses=("echo two > in", "ln -s in l"),
    ),
    Case(
        "a second name of a file",
        python("os.link('in', 'h')"),
        facts="""
            content in : =in
            change/l h : ENOENT
        """,
        outputs="linked h = in",
        misses=("echo two > in", "touch h"),
    ),
    Case(
        "a second name of a file just made",
        python("os.close(os.open('out', os.O_CREAT | os.O_EXCL, 0o666)); os.link('out', 'h')"),
        given="true",
        facts="""
            change/l out : ENOENT
            change/l h : ENOENT
        """,
        outputs="""
            file h 0644
            hardlink out = h
        """,
    ),
    Case(
        "a name that is taken",
        python("for make in (os.link, os.symlink):\n  try: make('in', 'x')\n  except OSError as error: print(error)"),
        given="echo one > in; touch x",
        facts="""
            error in : file
            error/l x : file
        """,
        misses=("rm x",),
        hits=("echo two > in; echo > x",),
    ),
    Case(
        "a name removed through a link to its folder",
        python("os.unlink('l/f')"),
        given="mkdir d; touch d/f; ln -s d l",
        facts="""
            link l : -> d
            change/l d/f : file
        """,
        outputs="removed d/f file",
        misses=("mkdir e; touch e/f; rm l; ln -s e l", "rm d/f"),
        hits=("echo other > d/f",),
    ),
)

# SPDX-License-Identifier: Apache-2.0
"""Programs that list, make, remove and enter folders."""

from __future__ import annotations

from tests.corpus.case import Case, python, shell

LIST = "print(sorted(os.listdir({})))"
OPENED = """
    error d : dir
    status d : dir 0755
"""

CASES = (
    Case(
        "a listing",
        python(LIST.format("'d'")),
        given="mkdir d d/sub; touch d/f; ln -s f d/l",
        facts=OPENED + "listing d : {f l@ sub/}",
        misses=("touch d/new", "rm d/f", "rm d/f; mkdir d/f"),
        hits=("echo x > d/f", "touch d/sub/x", "cp -a d e; rm -r d; mv e d"),
        covers="A79 A80",
    ),
    Case(
        "ls without times and sizes",
        ("ls", "-R", "d"),
        given="mkdir d d/sub; echo x > d/f",
        facts="""
            error d : dir
            status/mode d : dir 0755
            listing d : {f sub/}
            error d/sub : dir
            status/mode d/sub : dir 0755
            listing d/sub : {}
        """,
        misses=("touch d/new", "touch d/sub/new", "rm -r d/sub; touch d/sub"),
        hits=("echo more > d/f", "touch d d/sub", "cp -a d e; rm -r d; mv e d"),
    ),
    Case(
        "ls with times",
        ("ls", "-t", "f", "g"),
        given="echo one > f; echo two > g; touch -d @1500000000 f; touch -d @1400000000 g",
        facts="""
            status/times f : file 0644 times =f
            status/l,times f : file 0644 times =f
            status/times g : file 0644 times =g
            status/l,times g : file 0644 times =g
            order f g : order
        """,
        misses=("touch -d @1300000000 f", "touch -d @1600000000 g"),
        hits=("cp -p f h; mv h f",),
    ),
    Case(
        "a listing that shows what the run made",
        python("os.close(os.open('d/out', os.O_CREAT | os.O_EXCL)); os.unlink('d/f'); " + LIST.format("'d'")),
        given="mkdir d; touch d/f d/g",
        facts=OPENED
        + """
            change/l d/out : ENOENT
            change/l d/f : file
            listing d : {f g}
        """,
        outputs="""
            file d/out 0755
            removed d/f file
        """,
        misses=("touch d/new",),
        covers="A78",
    ),
    Case(
        "a folder made, filled and listed",
        python(
            "os.mkdir('d'); os.close(os.open('d/f', os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666)); "
            + LIST.format("'d'")
        ),
        given="true",
        facts="change/l d : ENOENT",
        outputs="""
            dir d 0755
            file d/f 0644
        """,
        misses=("mkdir d",),
        covers="A91",
    ),
    Case(
        "a folder made with its parents where one is there",
        python("for name in ('d', 'd/e'):\n  try: os.mkdir(name)\n  except OSError as error: print(error)"),
        given="mkdir d",
        facts="""
            error/l d : dir
            change/l d/e : ENOENT
        """,
        outputs="dir d/e 0755",
        misses=("rmdir d", "mkdir d/e"),
        hits=("touch d/x",),
    ),
    Case(
        "a folder removed",
        python("os.rmdir('d')"),
        given="mkdir d",
        facts="""
            change/l d : dir
            listing d : {}
        """,
        outputs="removed d dir",
        misses=("rmdir d", "touch d/x"),
    ),
    Case(
        "a folder that is not empty",
        python("try: os.rmdir('d')\nexcept OSError as error: print(error)"),
        given="mkdir d; touch d/x",
        facts="""
            change/l d : dir
            error/empty d : not empty
        """,
        misses=("rm d/x", "rm -r d"),
        hits=("touch d/y",),
    ),
    Case(
        "a folder with all that is in it",
        python("os.unlink('d/f'); os.rmdir('d')"),
        given="mkdir d; echo one > d/f",
        facts="""
            change/l d : dir
            listing d : {f}
            change/l d/f : file
        """,
        outputs="""
            removed d dir
            removed d/f file
        """,
        misses=("touch d/new",),
        hits=("echo two > d/f",),
    ),
    Case(
        "a folder made and removed again",
        python("os.mkdir('d'); os.mkdir('d/e'); os.rmdir('d/e'); os.rmdir('d')"),
        given="true",
        facts="change/l d : ENOENT",
        misses=("mkdir d",),
        hits=("touch x",),
    ),
    Case(
        "a removed folder made again",
        python("os.rmdir('d'); os.mkdir('d', 0o700)"),
        given="mkdir d",
        facts="""
            change/l d : dir
            listing d : {}
        """,
        outputs="dir d 0700",
        misses=("rmdir d", "touch d/x"),
    ),
    Case(
        "a folder that is none",
        python(
            "for change in (os.chdir, os.rmdir, os.listdir):\n"
            "  try: change('in')\n  except OSError as error: print(error)"
        ),
        facts="""
            error in : file
            error/l in : file
        """,
        misses=("rm in; mkdir in",),
        hits=("echo two > in",),
    ),
    Case(
        "names matched by a shell",
        shell("echo d/*.txt"),
        given="mkdir d; touch d/a.txt d/b.txt",
        facts=OPENED
        + """
            status . : dir 0755
            listing d : {a.txt b.txt}
        """,
        misses=("touch d/c.txt", "touch d/notes.md"),
        covers="A79",
    ),
    Case(
        "where the process is",
        python("os.mkdir('d'); os.chdir('d'); print(os.path.basename(os.getcwd()))"),
        given="true",
        facts="change/l d : ENOENT",
        outputs="dir d 0755",
    ),
)

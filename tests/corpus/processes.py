# SPDX-License-Identifier: Apache-2.0
"""Programs that start others, change where they are, and end in every way."""

from __future__ import annotations

import platform

from tests.corpus.case import Case, calling, python, shell

ARGUMENTS = (*python("import sys; print(sys.argv)"), "a\nb", "%R", "\udcff")
CAT = """
    content in : =in
    status in : file 0644 =in
"""

CASES = (
    Case(
        "a child that reads",
        python("if os.fork() == 0: os.read(os.open('in', 0), 9); os._exit(0)\nos.wait()"),
        facts="content in : =in",
        misses=("echo two > in",),
        covers="A46",
    ),
    Case(
        "a program started without a copy of the parent",
        python("os.waitpid(os.posix_spawn('/bin/cat', ['cat', 'in'], os.environ), 0)"),
        facts=CAT,
        misses=("echo two > in",),
        covers="A46",
    ),
    Case(
        "a thread that runs a program",
        python(
            "import threading\n"
            "threading.Thread(target=lambda: os.execv('/bin/cat', ['cat', 'in'])).start()\n"
            "threading.Event().wait()"
        ),
        facts=CAT,
        misses=("echo two > in",),
        covers="A47",
    ),
    Case(
        "a pipeline",
        shell("cat in | tr a-z A-Z > out"),
        facts=CAT
        + """
            status . : dir 0755
            target/0644 out : plain
        """,
        outputs="file out 0644",
        misses=("echo two > in", "mkdir out"),
        hits=("true", "echo old > out"),
    ),
    Case(
        "threads with working directories of their own",
        calling(
            "import threading\n"
            "def elsewhere(): libc.unshare(0x200); os.chdir('d'); print(os.read(os.open('f', 0), 9))\n"
            "thread = threading.Thread(target=elsewhere); thread.start(); thread.join()\n"
            "print(os.read(os.open('f', 0), 9))"
        ),
        given="mkdir d e; echo one > f; echo two > d/f; echo three > e/f",
        facts="""
            error d : dir
            change/l d : dir
            content d/f : =d/f
            content f : =f
        """,
        misses=("echo x > d/f", "echo y > f"),
        hits=("echo x > e/f",),
        covers="A48",
    ),
    Case(
        "a child that shares its parent's descriptors",
        ("./shared_table",),
        source="shared_table",
        given="mkdir d e; echo one > d/f; echo two > e/f",
        facts="""
            content shared_table : =shared_table
            access/1 shared_table : file granted
            error d : dir
            error e : dir
            content e/f : =e/f
        """,
        misses=("echo three > e/f",),
        hits=("echo three > d/f",),
        covers="A49",
    ),
    Case(
        "a child that shares its parent's working directory",
        ("./shared_folder",),
        source="shared_folder",
        given="mkdir e; echo one > f; echo two > e/f",
        facts="""
            content shared_folder : =shared_folder
            access/1 shared_folder : file granted
            error e : dir
            change/l e : dir
            content e/f : =e/f
        """,
        misses=("echo three > e/f",),
        hits=("echo three > f",),
        covers="A48",
    ),
    Case(
        "a child in a namespace of its own",
        calling(
            "child = call(56 if os.uname().machine == 'x86_64' else 220, 0x10000000 | 17, 0, 0, 0, 0)\n"
            "child or os._exit(0)\n"
            "child > 0 and os.waitpid(child, 0)"
        ),
        reasons=("namespace",),
    ),
    Case(
        "system calls of 32-bit programs",
        ("./old_calls",),
        source="old_calls",
        lacking=None if platform.machine() == "x86_64" else "only x86-64 has two kinds of system calls",
        reasons=("foreign_abi",),
        covers="A51",
    ),
    Case(
        "a program by its descriptor",
        python("os.execve(os.open('/bin/cat', 0), ['cat', 'in'], os.environ)"),
        facts=CAT,
        misses=("echo two > in",),
        covers="A18",
    ),
    Case(
        "a program that was never a file",
        python(
            "fd = os.memfd_create('cat'); os.sendfile(fd, os.open('/bin/cat', 0), 0, 1 << 24)\n"
            "os.execve(fd, ['cat', 'in'], os.environ)"
        ),
        reasons=("not_whole",),
        covers="A54",
    ),
    Case(
        "a script whose interpreter is a script",
        ("./one",),
        given="echo x > in; printf '#!./two\\n' > one; printf '#!/bin/sh\\ncat in\\n' > two; chmod 755 one two",
        facts=CAT
        + """
            access/1 one : file granted
            content one : =one
            access/1 two : file granted
            content two : =two
            status . : dir 0755
        """,
        misses=(
            "printf '#!/bin/sh\\necho y\\n' > two",
            "printf '#!/bin/sh\\n' > one",
            "echo two > in",
        ),
        hits=("touch one",),
        covers="A19",
    ),
    Case(
        "a file found beside the program's own",
        ("./here", "cat", "data"),
        given='echo one > data; printf \'#!/bin/sh\\ncd "${0%%/*}" && exec "$@"\\n\' > here; chmod 755 here',
        facts="""
            access/1 here : file granted
            content here : =here
            status . : dir 0755
            error . : dir
            content data : =data
            status data : file 0644 =data
        """,
        misses=("echo two > data",),
        covers="A29",
    ),
    Case(
        "a program that may not be run",
        python("try: os.execv('./s', ['s'])\nexcept OSError as error: print(error)"),
        given="printf '#!/bin/sh\\necho ran\\n' > s",
        facts="""
            error s : file
            error/access1 s : EACCES
        """,
        misses=("chmod 755 s", "rm s"),
        covers="A09",
    ),
    Case(
        "a program that may be run",
        ("./s",),
        given="printf '#!/bin/sh\\necho ran\\n' > s; chmod 755 s",
        facts="""
            access/1 s : file granted
            content s : =s
            status . : dir 0755
        """,
        misses=("printf '#!/bin/sh\\necho walked\\n' > s",),
        covers="A09",
    ),
    Case(
        "a program that is none",
        python("try: os.execv('./s', ['s'])\nexcept OSError as error: print(error)"),
        given="echo nothing > s; chmod 755 s",
        facts="""
            access/1 s : file granted
            content s : =s
        """,
        misses=("printf '#!/bin/sh\\necho ran\\n' > s", "chmod 644 s"),
    ),
    Case(
        "a child that ends after its parent",
        shell("(sleep 0.2; echo late > out) &"),
        facts="""
            status . : dir 0755
            target/0644 out : plain
        """,
        outputs="file out 0644",
        covers="A45",
    ),
    Case("killed", shell("kill -SEGV $$"), reasons=("signal",), covers="A89"),
    Case(
        "a reader that goes before the writer",
        shell("yes | head -n 1"),
        facts="status . : dir 0755",
        covers="A89",
    ),
    Case("a status", shell("echo bad > out; exit 3"), reasons=("exit_status",), covers="A90"),
    Case(
        "a warning",
        shell("echo careful >&2; echo good > out"),
        facts="""
            status . : dir 0755
            target/0644 out : plain
        """,
        outputs="file out 0644",
        hits=("true",),
        covers="A90",
    ),
    Case(
        "arguments that need care",
        (*ARGUMENTS, "x" * 100_000),
        facts="",
        misses=({"command": (*ARGUMENTS, "x" * 99_999 + "y")},),
        covers="A81",
    ),
    Case(
        "a name of the program",
        ("sh", "-c", "echo $0", "first"),
        facts="status . : dir 0755",
        misses=({"command": ("sh", "-c", "echo $0", "second")},),
        covers="A73",
    ),
)

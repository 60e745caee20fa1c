# SPDX-License-Identifier: Apache-2.0
"""Programs that read files, find none, and find them through folders, descriptors and `/proc`."""

from __future__ import annotations

from tests.corpus.case import Case, calling, python, shell

READ = "os.read(os.open({}, os.O_RDONLY), 99)"

CASES = (
    Case(
        "a file",
        python("print(" + READ.format("'in'") + ")"),
        facts="content in : =in",
        misses=("echo two > in", "rm in", "rm in; mkdir in"),
        hits=("touch in; chmod 600 in", "echo x > unread", "mv in x; cp x in; rm x"),
        covers="A30",
    ),
    Case(
        "a file as the library opens it",
        python("print(open('in').read())"),
        facts="""
            content in : =in
            status in : file 0644 =in
            order in : order
        """,
        misses=("echo two > in", "chmod 600 in", "touch in"),
        hits=("echo x > unread",),
    ),
    Case(
        "a part of a file",
        python("print(os.pread(os.open('in', os.O_RDONLY), 2, 1))"),
        facts="content in : =in",
        misses=("echo ene > in",),
    ),
    Case(
        "a file opened for reading and writing, and left alone",
        python("print(os.read(os.open('in', os.O_RDWR), 9))"),
        facts="content in : =in",
        misses=("echo two > in",),
    ),
    Case(
        "a file mapped privately, read after its descriptor was closed",
        python(
            "import mmap\n"
            "fd = os.open('in', os.O_RDONLY)\n"
            "seen = mmap.mmap(fd, 4, mmap.MAP_PRIVATE, mmap.PROT_READ)\n"
            "os.close(fd); print(seen[:])"
        ),
        facts="""
            content in : =in
            status in : file 0644 =in
            order in : order
        """,
        misses=("echo two > in",),
        covers="A27",
    ),
    Case(
        "the same bytes written within one tick, times put back",
        python("print(" + READ.format("'in'") + ")"),
        facts="content in : =in",
        misses=("touch -r in stamp; printf eno\\\\n > in; touch -r stamp in", "touch -d @1 x; echo two > x; mv x in"),
        covers="A87 A88",
    ),
    Case(
        "no file",
        python("try: os.open('none', os.O_RDONLY)\nexcept OSError as error: print(error)"),
        facts="error none : ENOENT",
        misses=("touch none", "mkdir none", "echo x > x; ln -s x none"),
        hits=("touch nine", "ln -s nowhere none"),
    ),
    Case(
        "no folder",
        python("try: os.open('sub/none', os.O_RDONLY)\nexcept OSError as error: print(error)"),
        facts="error sub/none : ENOENT",
        misses=("mkdir sub; touch sub/none", "touch sub"),
        hits=("mkdir sub",),
        covers="A02",
    ),
    Case(
        "a file for a folder",
        python("try: os.open('in/x', os.O_RDONLY)\nexcept OSError as error: print(error)"),
        facts="error in/x : ENOTDIR",
        misses=("rm in", "rm in; mkdir in; touch in/x"),
        hits=("echo two > in",),
    ),
    Case(
        "the second of two places searched",
        python(
            "for folder in 'ab':\n"
            "    try: print(os.read(os.open(folder + '/h', os.O_RDONLY), 9)); break\n"
            "    except FileNotFoundError: pass"
        ),
        given="mkdir a b; echo one > b/h",
        facts="""
            error a/h : ENOENT
            content b/h : =b/h
        """,
        misses=("echo two > a/h", "echo two > b/h"),
        hits=("echo two > a/other", "rmdir a"),
        covers="A01 A03",
    ),
    Case(
        "a program's name in the second folder of PATH",
        ("tool",),
        given="mkdir a b; printf '#!/bin/sh\\necho b\\n' > b/tool; chmod 755 b/tool",
        around={"variables": {"PATH": "a:b:/usr/bin:/bin"}},
        facts="""
            access/1 a/tool : ENOENT
            access/1 b/tool : file granted
            content b/tool : =b/tool
            status . : dir 0755
        """,
        misses=("printf '#!/bin/sh\\necho a\\n' > a/tool; chmod 755 a/tool",),
        hits=("touch a/other",),
        covers="A10",
    ),
    Case(
        "a file beneath an open folder",
        python("print(os.read(os.open('f', os.O_RDONLY, dir_fd=os.open('d', os.O_RDONLY)), 9))"),
        given="mkdir d; echo one > d/f",
        facts="""
            error d : dir
            content d/f : =d/f
        """,
        misses=("echo two > d/f", "mv d e; mkdir d; echo three > d/f"),
        hits=("touch d/g", "chmod 700 d"),
        covers="A07",
    ),
    Case(
        "a folder replaced by a link to another",
        python("print(" + READ.format("'d/f'") + ")"),
        given="mkdir d e; echo one > d/f; echo two > e/f",
        facts="content d/f : =d/f",
        misses=("rm -r d; ln -s e d",),
        covers="A07",
    ),
    Case(
        "a file relative to where the process went",
        python("os.chdir('d/e'); print(" + READ.format("'f'") + ")"),
        given="mkdir -p d/e; echo one > d/e/f",
        facts="""
            error d/e : dir
            change/l d : dir
            change/l d/e : dir
            content d/e/f : =d/e/f
        """,
        misses=("echo two > d/e/f",),
        hits=("touch d/g",),
    ),
    Case(
        "a file relative to a folder that another name leads to",
        python("os.fchdir(os.open('d', os.O_RDONLY)); print(" + READ.format("'../d/./f'") + ")"),
        given="mkdir d; echo one > d/f",
        facts="""
            error d : dir
            change/l d : dir
            content d/f : =d/f
        """,
        misses=("echo two > d/f",),
    ),
    Case(
        "a file by the working directory of /proc",
        python("print(" + READ.format("'/proc/self/cwd/in'") + ")"),
        facts="content in : =in",
        misses=("echo two > in",),
        covers="A12",
    ),
    Case(
        "a file by a descriptor of /proc",
        python("fd = os.open('in', os.O_RDONLY); print(" + READ.format("f'/proc/self/fd/{fd}'") + ")"),
        facts="content in : =in",
        misses=("echo two > in",),
        covers="A12",
    ),
    Case(
        "a file by its whole name through a thread's root",
        python("print(" + READ.format("'/proc/thread-self/root' + os.getcwd() + '/in'") + ")"),
        facts="content in : =in",
        misses=("echo two > in",),
        covers="A12",
    ),
    Case(
        "openat2 that stays beneath a folder",
        calling(
            "how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 8)\n"
            "folder = os.open('d', os.O_RDONLY)\n"
            "print(os.read(call(437, folder, b'f', how, 24), 9))"
        ),
        given="mkdir d; echo one > d/f",
        facts="""
            error d : dir
            error/l d/f : file
            content d/f : =d/f
        """,
        misses=("echo two > d/f", "mv d/f f; ln -s ../f d/f"),
    ),
    Case(
        "openat2 that stays beneath a folder by way of a link",
        calling(
            "how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 8)\n"
            "folder = os.open('d', os.O_RDONLY)\n"
            "print(os.read(call(437, folder, b'link', how, 24), 9))"
        ),
        given="mkdir d; echo one > d/f; ln -s f d/link",
        reasons=("namespace",),
    ),
    Case(
        "openat2 that stays beneath a folder, further down",
        calling(
            "how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 8)\n"
            "folder = os.open('d', os.O_RDONLY)\n"
            "print(os.read(call(437, folder, b'e/f', how, 24), 9))"
        ),
        given="mkdir -p d/e; echo one > d/e/f",
        reasons=("namespace",),
    ),
    Case(
        "openat2 that refuses to leave a folder",
        calling(
            "how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 8)\n"
            "print(call(437, os.open('d', os.O_RDONLY), b'../in', how, 24), ctypes.get_errno())"
        ),
        given="mkdir d; echo one > in",
        facts="""
            error d : dir
            change/l d : dir
            error in : file
        """,
        misses=("rm in",),
    ),
    Case(
        "openat2 for which a folder is the root",
        calling(
            "how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 16)\n"
            "print(os.read(call(437, os.open('d', os.O_RDONLY), b'/etc/passwd', how, 24), 9))"
        ),
        given="mkdir -p d/etc; echo one > d/etc/passwd",
        reasons=("namespace",),
    ),
    Case(
        "a path only, no content",
        python("print(os.open('in', os.O_PATH))"),
        facts="error in : file",
        misses=("rm in; mkdir in", "rm in"),
        hits=("echo two > in",),
    ),
    Case(
        "standard input's own name",
        python("print(" + READ.format("'/dev/stdin'") + ")"),
        around={"stdin": b"one"},
        facts="",
        misses=({"stdin": b"two"},),
        covers="A12",
    ),
    Case(
        "names that need care",
        python("for name in sorted(os.listdir(b'd')): print(os.read(os.open(b'd/' + name, 0), 9))"),
        given="""mkdir d; cd d; for name in 'a b' 'a\\b' 'a"b' "a'b" '-x' '%R'; do echo "$name" > "$name"; done
            echo n > "$(printf 'a\\nb')"; echo f > "$(printf 'a\\377b')"; echo t > "$(printf 'a\\tb')"; cd ..""",
        facts="""
            error d : dir
            status d : dir 0755
            listing d : {a%20b a\\b a"b a'b -x %25R a%0Ab a%FFb a%09b}
            content d/a%20b : =d/a%20b
            content d/a\\b : =d/a\\b
            content d/a"b : =d/a"b
            content d/a'b : =d/a'b
            content d/-x : =d/-x
            content d/%25R : =d/%25R
            content d/a%0Ab : =d/a%0Ab
            content d/a%FFb : =d/a%FFb
            content d/a%09b : =d/a%09b
        """,
        misses=(
            "echo x > \"$(printf 'd/a\\nb')\"",
            "echo x > \"$(printf 'd/a\\377b')\"",
            "echo x > 'd/a\\b'",
            "echo x > d/%R",
        ),
        covers="A82",
    ),
    Case(
        "a path longer than the kernel prints",
        python(
            "name = 'x' * 200\n"
            "for _ in range(30): os.mkdir(name); os.chdir(name)\n"
            "os.close(os.open('f', os.O_CREAT | os.O_WRONLY)); os.open('f', 0); os.unlink('f')\n"
            "for _ in range(30): os.chdir('..'); os.rmdir(name)"
        ),
        facts=f"""
            change/l {200 * "x"} : ENOENT
            error . : dir
        """,
        covers="A83",
    ),
    Case(
        "a working directory that is gone",
        shell("mkdir d; cd d; rmdir ../d; cat f 2>/dev/null || echo gone"),
        reasons=("incomplete",),
        covers="A84",
    ),
)

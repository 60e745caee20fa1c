# SPDX-License-Identifier: Apache-2.0
"""Programs that make, change, replace and copy files."""

from __future__ import annotations

from tests.corpus.case import Case, calling, python, shell

WRITE = "os.write(os.open({}, os.O_WRONLY | os.O_CREAT{}, 0o666), b'new')"
NEW, TRUNCATED, EXCLUSIVE = "", " | os.O_TRUNC", " | os.O_EXCL"

CASES = (
    Case(
        "a file made or truncated, not there before",
        python(WRITE.format("'out'", TRUNCATED)),
        facts="target/0644 out : plain",
        outputs="file out 0644",
        misses=("echo old > out; chmod 600 out", "ln -s in out", "echo x > x; ln x out"),
        hits=("true", "echo old > out"),
    ),
    Case(
        "a file truncated",
        python(WRITE.format("'out'", TRUNCATED)),
        given="echo old > out",
        facts="target/0644 out : plain",
        outputs="file out 0644 in place",
        misses=("chmod 640 out",),
        hits=("true", "rm out", "echo other > out"),
    ),
    Case(
        "a file truncated that has a mode of its own",
        python(WRITE.format("'out'", TRUNCATED)),
        given="echo old > out; chmod 600 out",
        facts="target/0644 out : file 0600 links=1 own attributes=[]",
        outputs="file out 0600 in place",
        misses=("rm out",),
        hits=("echo other > out",),
    ),
    Case(
        "a file made as new",
        python(WRITE.format("'out'", EXCLUSIVE)),
        facts="change/l out : ENOENT",
        outputs="file out 0644",
        misses=("echo old > out",),
    ),
    Case(
        "a file written from its start without truncation, not there before",
        python(WRITE.format("'out'", NEW)),
        facts="change/l out : ENOENT",
        outputs="file out 0644",
        misses=("echo older > out",),
    ),
    Case(
        "a line appended",
        shell("echo two >> log"),
        given="echo one > log",
        facts="""
            status . : dir 0755
            content log : =log
        """,
        outputs="file log 0644 in place",
        misses=("echo x > log", "rm log"),
        covers="A24",
    ),
    Case(
        "a line appended to nothing",
        shell("echo two >> log"),
        facts="""
            status . : dir 0755
            change/l log : ENOENT
        """,
        outputs="file log 0644",
        misses=("echo x > log",),
        covers="A24",
    ),
    Case(
        "a formatter in place",
        python("fd = os.open('in', os.O_RDWR); os.pwrite(fd, os.pread(fd, 9, 0).upper(), 0)"),
        facts="content in : =in",
        outputs="file in 0644 in place",
        misses=("echo two > in",),
        covers="A23",
    ),
    Case(
        "a file made and removed again",
        python("os.close(os.open('d/made', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)); os.unlink('d/made')"),
        given="mkdir d",
        facts="""
            error d : dir
            target d/made : ENOENT
        """,
        misses=("rmdir d", "touch d/made"),
    ),
    Case(
        "a file made that had to be new, and removed again",
        python("os.close(os.open('d/made', os.O_WRONLY | os.O_CREAT | os.O_EXCL)); os.unlink('d/made')"),
        given="mkdir d",
        facts="""
            error d : dir
            change/l d/made : ENOENT
        """,
        misses=("rmdir d", "touch d/made"),
    ),
    Case(
        "a file looked at twice, removed, and another one opened",
        python("os.lstat('i' + 'n'); os.lstat('i' + 'n'); os.unlink('i' + 'n'); os.open('f', 0)"),
        given="echo one > in; echo two > f",
        facts="""
            status/l in : file 0644 =in
            change/l in : file
            order in : order
            content f : =f
        """,
        outputs="removed in file",
        unknown_to_strace=("input_destroyed",),
        misses=("echo x > in", "echo x > f"),
    ),
    Case(
        "a file that a failed rename was to replace, changed in place",
        python(
            "try: os.rename('none', 'i' + 'n')\nexcept OSError: os.chmod('i' + 'n', 0o600)\n"
            "fd = os.open('i' + 'n', os.O_RDWR); print(os.pread(fd, 9, 0)); os.pwrite(fd, b'ONE', 0)"
        ),
        facts="""
            change/l in : file
            content in : =in
            error . : dir
            error/l in : file
            error/l none : ENOENT
        """,
        outputs="file in 0600",
        unknown_to_strace=("input_destroyed",),
        misses=("echo x > in",),
    ),
    Case(
        "a formatter in place, of a file that nothing named before",
        python("fd = os.open('i' + 'n', os.O_RDWR); os.pwrite(fd, os.pread(fd, 9, 0).upper(), 0)"),
        facts="content in : =in",
        outputs="file in 0644 in place",
        unknown_to_strace=("input_destroyed",),
        misses=("echo two > in",),
        covers="A23",
    ),
    Case(
        "a file cut short by its path",
        python("os.truncate('in', 2)"),
        facts="content in : =in",
        outputs="file in 0644 in place",
        misses=("echo other > in",),
        covers="A25",
    ),
    Case(
        "a file made longer by its descriptor",
        python("os.ftruncate(os.open('in', os.O_WRONLY), 9)"),
        facts="content in : =in",
        outputs="file in 0644 in place",
        misses=("echo other > in",),
        covers="A25",
    ),
    Case(
        "a file written through a shared mapping after its descriptor was closed",
        python(
            "import mmap\n"
            "fd = os.open('in', os.O_RDWR)\n"
            "seen = mmap.mmap(fd, 4)\n"
            "os.close(fd); seen[0:1] = b'O'; seen.flush()"
        ),
        facts="""
            content in : =in
            status in : file 0644 =in
            order in : order
        """,
        outputs="file in 0644 in place",
        misses=("echo odd > in",),
        covers="A26",
    ),
    Case(
        "a file made under another name and renamed over the old one",
        python(WRITE.format("'out.tmp'", EXCLUSIVE) + "; os.rename('out.tmp', 'out')"),
        given="echo old > out",
        facts="""
            change/l out.tmp : ENOENT
            target/0644 out : plain
        """,
        outputs="file out 0644",
        misses=("chmod 600 out", "rm out; ln -s in out", "touch out.tmp"),
        hits=("true", "rm out", "echo other > out"),
        covers="A21",
    ),
    Case(
        "a file without a name that gets one",
        calling(
            "fd = os.open('.', os.O_TMPFILE | os.O_WRONLY, 0o640); os.write(fd, os.read(os.open('in', 0), 9))\n"
            "libc.linkat(-100, b'/proc/self/fd/%d' % fd, -100, b'out', 0x400)"
        ),
        facts="""
            error . : dir
            content in : =in
            change/l out : ENOENT
        """,
        outputs="file out 0640",
        misses=("echo two > in", "touch out"),
        covers="A20",
    ),
    Case(
        "a file with a hole",
        python("fd = os.open('out', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666); os.pwrite(fd, b'end', 1 << 22)"),
        facts="target/0644 out : plain",
        outputs="file out 0644",
        covers="A38",
    ),
    Case(
        "a new temporary file, removed again",
        python(WRITE.format("'tmp' + str(os.getpid())", EXCLUSIVE) + "; os.unlink('tmp' + str(os.getpid()))"),
        facts="error . : dir",
        hits=("true", "touch tmp1"),
        covers="A66",
    ),
    Case(
        "a temporary file that would have replaced another, removed again",
        python(WRITE.format("'tmp'", TRUNCATED) + "; os.unlink('tmp')"),
        facts="target tmp : ENOENT",
        misses=("echo mine > tmp",),
    ),
    Case(
        "a file with two names",
        shell("echo two >> a"),
        given="echo one > a; ln a b",
        reasons=("many_links",),
        covers="A32",
    ),
    Case(
        "one of two names truncated while the other is read",
        python("print(os.read(os.open('b', 0), 9)); " + WRITE.format("'a'", TRUNCATED)),
        given="echo one > a; ln a b",
        reasons=("input_changed", "many_links"),
        covers="A31",
    ),
    Case(
        "a file outside the root",
        python(WRITE.format("'../home/out'", TRUNCATED)),
        reasons=("wrote_outside",),
        outputs="",
        covers="A92",
    ),
    Case(
        "a declared file outside the root",
        python(WRITE.format("'../tmp/out'", TRUNCATED)),
        around={"options": ("-o", "../tmp/out")},
        facts="change/l . : dir",
        also="target/0644 $T/out : plain",
        outputs="file $T/out 0644",
        hits=("true", "echo old > ../tmp/out"),
        misses=("ln -s in ../tmp/out",),
        covers="A92",
    ),
    Case(
        "modes under the caller's mask and the program's own",
        python(WRITE.format("'one'", TRUNCATED) + "; os.umask(0o027); " + WRITE.format("'two'", TRUNCATED)),
        facts="""
            target/0644 one : plain
            target/0640 two : plain
        """,
        outputs="""
            file one 0644
            file two 0640
        """,
        misses=({"umask": 0o077},),
        covers="A60",
    ),
    Case(
        "a declared output looked at before it is made",
        python("os.path.exists('out'); " + WRITE.format("'out'", TRUNCATED)),
        around={"options": ("-o", "out")},
        facts="""
            error out : ENOENT
            order out : nothing counts
            target/0644 out : plain
        """,
        relaxed="""
            order out : nothing counts
            target/0644 out : plain
        """,
        outputs="file out 0644",
        misses=("mkdir out",),
    ),
    Case(
        "cp",
        ("cp", "in", "out"),
        facts="""
            status/mode in : file 0644
            content in : =in
            error out : ENOENT
            change/l out : ENOENT
        """,
        relaxed="""
            status/mode in : file 0644
            content in : =in
            target/0644 out : plain
        """,
        outputs="file out 0644",
        misses=("echo two > in", "mkdir out", "chmod 600 in"),
        hits=("echo x > unread", "touch in"),
    ),
    Case(
        "a copy by copy_file_range",
        python(
            "out = os.open('out', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)\n"
            "os.copy_file_range(os.open('in', 0), out, 9)"
        ),
        facts="""
            content in : =in
            target/0644 out : plain
        """,
        outputs="file out 0644",
        misses=("echo two > in",),
        covers="A28",
    ),
    Case(
        "a copy by sendfile",
        python(
            "out = os.open('out', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)\n"
            "os.sendfile(out, os.open('in', 0), 0, 9)"
        ),
        facts="""
            content in : =in
            target/0644 out : plain
        """,
        outputs="file out 0644",
        misses=("echo two > in",),
        covers="A28",
    ),
    Case(
        "a copy by splice",
        python(
            "out = os.open('out', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)\n"
            "end, start = os.pipe(); os.splice(os.open('in', 0), start, 9); os.splice(end, out, 4)"
        ),
        facts="""
            content in : =in
            target/0644 out : plain
        """,
        outputs="file out 0644",
        misses=("echo two > in",),
        covers="A28",
    ),
    Case(
        "creat",
        calling("os.write(libc.creat(b'out', 0o666), b'x')"),
        facts="target/0644 out : plain",
        outputs="file out 0644",
        misses=("mkdir out",),
    ),
    Case(
        "a mode put in place after the file was made",
        python("fd = os.open('out', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666); os.fchmod(fd, 0o755)"),
        facts="target/0755 out : plain",
        outputs="file out 0755",
        misses=("echo old > out; chmod 600 out",),
        hits=("true", "echo old > out; chmod 755 out"),
    ),
)

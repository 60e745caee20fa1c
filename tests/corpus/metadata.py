# SPDX-License-Identifier: Apache-2.0
"""Programs that ask for and set modes, times, owners and attributes."""

from __future__ import annotations

from tests.corpus.case import Case, calling, python, shell
from tests.support import capabilities
from tests.support.runner import interpreter

SET_ATTRIBUTE = f'{interpreter()} -c \'import os; os.setxattr("in", "user.{{}}", b"1")\''
LOOKED = """
    status in : file 0644 =in
    order in : order
"""

CASES = (
    Case(
        "the size of a file",
        python("print(os.stat('in').st_size)"),
        facts=LOOKED,
        misses=("echo longer > in", "chmod 600 in", "touch in"),
        hits=("echo x > unread",),
        covers="A08 A34",
    ),
    Case(
        "a mode changed by a call that old tracers have no name for",
        calling("assert call(452, -100, b'in', 0o600, 0) == 0"),
        facts="change/l in : file",
        outputs="metadata in 0600",
        unknown_to_strace=() if capabilities.strace_knows("fchmodat2") else ("incomplete",),
        misses=("rm in",),
        hits=("echo two > in",),
    ),
    Case(
        "a file that becomes a folder",
        python("print(os.path.isdir('in'))"),
        facts=LOOKED,
        misses=("rm in; mkdir in",),
        covers="A08",
    ),
    Case(
        "a file behind a link",
        python("print(os.stat('l').st_mode)"),
        given="echo one > in; ln -s in l",
        facts="link l : -> in" + LOOKED,
        misses=("echo two > in", "chmod 600 in", "rm l; echo one > l"),
    ),
    Case(
        "a link itself",
        python("print(os.lstat('l').st_size)"),
        given="ln -s in l; touch in",
        facts="status/l l : symlink in",
        misses=("ln -sf other l", "rm l; touch l"),
        hits=("echo x > in", "rm in"),
    ),
    Case(
        "a folder",
        python("print(os.stat('d').st_mode)"),
        given="mkdir d",
        facts="status d : dir 0755",
        misses=("chmod 700 d", "rmdir d"),
        hits=("touch d/x",),
    ),
    Case(
        "what is not there",
        python("print(os.path.exists('none'), os.path.lexists('neither'))"),
        given="true",
        facts="""
            error none : ENOENT
            error neither : ENOENT
            error/l neither : ENOENT
            order neither none : nothing counts
        """,
        misses=("touch none", "ln -s nowhere neither"),
        hits=("ln -s nowhere none",),
    ),
    Case(
        "statx of a link itself",
        calling("print(libc.statx(-100, b'l', 0x100, 0xfff, ctypes.create_string_buffer(256)))"),
        given="ln -s in l",
        facts="status/l l : symlink in",
        misses=("ln -sf other l",),
    ),
    Case(
        "whether a file may be written and run",
        python("print(os.access('in', os.W_OK), os.access('in', os.X_OK), os.access('none', os.R_OK))"),
        facts="""
            access/2 in : file granted
            access/1 in : file EACCES
            error none : ENOENT
        """,
        misses=("chmod 755 in", "rm in"),
        hits=("echo two > in", "touch in"),
    ),
    Case(
        "which file is newer, told",
        shell("if [ a -nt b ]; then echo newer; fi"),
        given="echo one > a; echo two > b",
        facts="""
            status . : dir 0755
            status a : file 0644 =a
            status b : file 0644 =b
            order a b : order
        """,
        misses=("touch -d @1600000000 a",),
        hits=("touch -d @1400000000 a b",),
        covers="A33",
    ),
    Case(
        "a time printed by a program that prints times",
        ("du", "--time", "in"),
        facts="""
            status/l,times in : file 0644 times =in
            order in : order
        """,
        misses=("touch -d @1600000000 in",),
        covers="A33",
    ),
    Case("an inode printed", ("stat", "-c", "%i", "in"), outer='exec "$@" >/dev/null', reasons=("machine",)),
    Case(
        "a time printed by any program, told so",
        python("print(os.stat('in').st_mtime)"),
        around={"options": ("--mtime",)},
        facts="""
            status/times in : file 0644 times =in
            order in : order
        """,
        misses=("touch -d @1500000001 in",),
        covers="A33",
    ),
    Case(
        "the time of what was just made",
        python(
            "os.close(os.open('out', os.O_CREAT | os.O_EXCL)); made = os.stat('out')\n"
            "os.utime('in', ns=(made.st_atime_ns, made.st_mtime_ns))"
        ),
        facts="""
            change/l out : ENOENT
            change/l in : file
            order out : nothing counts
        """,
        outputs="""
            file out 0755
            metadata in times
        """,
        misses=("touch out",),
    ),
    Case(
        "a time that a write has moved on",
        python("os.utime('in', (1, 1)); os.pwrite(os.open('in', os.O_WRONLY), b'x', 0)"),
        facts="""
            change/l in : file
            content in : =in
        """,
        outputs="file in 0644 in place times",
        misses=("echo two > in",),
    ),
    Case(
        "a mode",
        python("os.chmod('in', 0o600)"),
        facts="change/l in : file",
        outputs="metadata in 0600",
        misses=("rm in",),
        hits=("true", "echo other > in", "chmod 640 in"),
    ),
    Case(
        "a mode through a link",
        python("os.chmod('l', 0o600)"),
        given="echo one > in; ln -s in l",
        facts="""
            link l : -> in
            change/l in : file
        """,
        outputs="metadata in 0600",
        misses=("echo x > x; ln -sf x l",),
        hits=("echo other > in",),
    ),
    Case(
        "a mode of a file that was read",
        python("fd = os.open('in', 0); print(os.read(fd, 9)); os.fchmod(fd, 0o600)"),
        facts="""
            content in : =in
            change/l in : file
        """,
        outputs="metadata in 0600",
        misses=("echo other > in",),
    ),
    Case(
        "times",
        python("os.utime('in', ns=(1, 1600000000000000000))"),
        facts="change/l in : file",
        outputs="metadata in times",
        misses=("rm in",),
        hits=("true", "echo other > in"),
    ),
    Case(
        "touch of what is not there",
        ("touch", "out"),
        facts="change/l out : ENOENT",
        outputs="file out 0644 times",
        misses=("echo mine > out",),
    ),
    Case(
        "touch of what is there",
        ("touch", "in"),
        facts="""
            content in : =in
            change/l in : file
        """,
        outputs="file in 0644 in place times",
        misses=("rm in", "echo two > in"),
    ),
    Case(
        "the owner that it has",
        python("os.chown('in', os.getuid(), -1)"),
        facts="change/l in : file",
        hits=("echo other > in",),
    ),
    Case("another owner", python("os.chown('in', 12, -1)"), reasons=("owner",), covers="A91", root_only=True),
    Case(
        "an attribute that is not there",
        python("try: print(os.getxattr('in', 'user.x'))\nexcept OSError as error: print(error)"),
        facts="attribute/fuser.x in : ENODATA",
        misses=(SET_ATTRIBUTE.format("x"),),
        hits=(SET_ATTRIBUTE.format("y"), "echo two > in"),
        covers="A35",
    ),
    Case(
        "the names of attributes",
        python("print(os.listxattr('in'))"),
        facts="attribute/f in : names",
        misses=(SET_ATTRIBUTE.format("x"),),
        covers="A35",
    ),
    Case(
        "an attribute set",
        python("os.setxattr('in', 'user.x', b'1')"),
        reasons=("attributes",),
        covers="A36",
    ),
    Case(
        "a set-user-id bit on what the run made",
        python("os.close(os.open('out', os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o755)); os.chmod('out', 0o4755)"),
        facts="target/4755 out : plain",
        outputs="file out 4755",
        misses=("touch out",),
        covers="A91",
    ),
)

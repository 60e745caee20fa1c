# SPDX-License-Identifier: Apache-2.0
"""The table of calls, held against the kernel's headers where they are installed."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytrace_exec.calls import numbers
from pytrace_exec.calls.arguments import KINDS, argument_kinds
from pytrace_exec.calls.table import EFFECTS, HARMLESS, READS, TABLE, WRITES, untraced
from pytrace_exec.observe import reader
from pytrace_exec.policy.reasons import SENTENCES

ROOT = Path(__file__).parents[3]
NATIVE = {"x86-64": numbers.X86_64, "arm64": numbers.ARM64}
DEFINED = re.compile(r"#define (__NR\w+) (.+)")
X32_NUMBER = re.compile(r"\(__X32_SYSCALL_BIT \+ (\d+)\)")
# What arm64's own header selects from the generic one.
ARM64_SELECTS = ("RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "SYS_CLONE3", "MEMFD_SECRET")
HEADERS = {
    "x86-64": ("asm/unistd_64.h", numbers.X86_64),
    "i386": ("asm/unistd_32.h", numbers.I386),
    "x32": ("asm/unistd_x32.h", numbers.X32),
    "arm64": ("asm-generic/unistd.h", numbers.ARM64),
}
NO_CALLS = frozenset({"syscalls", "arch_specific_syscall"})


def header_numbers(header: str) -> dict[str, int]:
    """Names and numbers that a header defines."""
    options = [f"-D__ARCH_WANT_{word}" for word in ARM64_SELECTS]
    command = ["cc", "-E", "-dM", *options, "-x", "c", "-"]
    done = subprocess.run(command, input=f"#include <{header}>\n", capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"<{header}> is not installed")
    defined = dict(DEFINED.findall(done.stdout))
    found = {}
    for name, value in defined.items():
        while value in defined:
            value = defined[value]
        x32 = X32_NUMBER.fullmatch(value)
        if name.startswith("__NR_"):
            found[name.removeprefix("__NR_")] = int(x32[1] if x32 else value)
    return {name: number for name, number in found.items() if name not in NO_CALLS}


@pytest.mark.compiler
@pytest.mark.parametrize("abi", HEADERS)
def test_the_numbers_are_those_of_the_kernels_headers(abi: str) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler is installed")
    if abi != "arm64" and platform.machine() != "x86_64":
        pytest.skip("the headers are of another architecture")
    header, ours = HEADERS[abi]
    theirs = header_numbers(header)
    assert theirs
    assert {name: ours.get(number) for name, number in theirs.items()} == {name: name for name in theirs}
    newest = max(number for number in theirs.values())
    # x32 has not all calls of x86-64, and the uprobe pair is newer than many headers.
    more = {name for number, name in ours.items() if number <= newest and theirs.get(name) != number}
    assert more <= {"uprobe", "uretprobe"} or abi == "x32"


@pytest.mark.parametrize("abi", NATIVE)
def test_every_call_is_in_one_row(abi: str) -> None:
    assert not HARMLESS & TABLE.keys()
    assert set(NATIVE[abi].values()) <= HARMLESS | TABLE.keys()
    assert set(range(424, 470)) <= NATIVE[abi].keys()
    assert max(NATIVE[abi]) == 469


def test_every_row_is_a_call() -> None:
    assert set(TABLE) | HARMLESS == {name for names in NATIVE.values() for name in names.values()}


def test_every_effect_is_known() -> None:
    assert {row.effect for row in TABLE.values()} == EFFECTS.keys() == reader.EFFECTS.keys()
    assert {row.word for row in TABLE.values() if row.effect == "refuse"} <= SENTENCES.keys()


def test_every_argument_has_a_kind_and_none_has_two() -> None:
    for name, row in TABLE.items():
        kinds = argument_kinds(name)
        assert set(kinds) <= KINDS.keys()
        assert len(set(row.places.values())) == len(row.places) or name == "vmsplice"
        assert len(kinds) <= 6
    assert argument_kinds("linkat") == ("dir", "path", "dir", "path", "int")
    assert argument_kinds("fstat") == ("fd",)
    assert argument_kinds("copy_file_range") == ("fd", "unused", "fd")


def test_what_is_untraced() -> None:
    assert untraced(True, True) == HARMLESS
    assert untraced(False, False) == HARMLESS | READS | WRITES
    assert {"read", "recvmsg"} <= untraced(False, True)
    assert not {"write", "sendfile", "tee"} & untraced(False, True)
    assert "openat" not in untraced(False, False)


def test_calls_of_other_abis_are_named() -> None:
    assert numbers.foreign_call(0x40000003, 5) == "open (i386)"
    assert numbers.foreign_call(0xC000003E, numbers.X32_BIT | 2) == "open (x32)"
    assert numbers.foreign_call(0xC000003E, numbers.X32_BIT | 520) == "execve (x32)"
    assert numbers.foreign_call(0x40000028, 3) == "syscall_0x3 (arm)"
    assert numbers.foreign_call(7, 0x1D6) == "syscall_0x1d6 (architecture 0x7)"


def test_numbers_that_strace_prints_get_their_names() -> None:
    assert numbers.call_name("syscall_0x1c4") == "fchmodat2"
    assert numbers.call_name("syscall_0x1d6") == "syscall_0x1d6"
    assert numbers.call_name("openat") == "openat"


def test_the_generated_files_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/calls", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

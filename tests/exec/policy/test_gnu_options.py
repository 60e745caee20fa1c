# SPDX-License-Identifier: Apache-2.0
"""Arguments as `getopt_long` takes them."""

from __future__ import annotations

import pytest

from pytrace_exec.policy.gnu_options import GnuOptions, rows

OPTIONS = GnuOptions("-u -d= -I? --date= --debug --iso? --preserve --preserve-all")

UNDERSTOOD = [
    ("-u x", [("-u", ""), ("", "x")]),
    ("-ud yesterday", [("-u", ""), ("-d", "yesterday")]),
    ("-du", [("-d", "u")]),
    ("-d -u", [("-d", "-u")]),
    ("-I -Iu", [("-I", ""), ("-I", "u")]),
    ("--date now --date=now", [("--date", "now"), ("--date", "now")]),
    ("--dat now x --deb", [("--date", "now"), ("", "x"), ("--debug", "")]),
    ("--iso x", [("--iso", ""), ("", "x")]),
    ("--preserve", [("--preserve", "")]),
    ("--preserve-", [("--preserve-all", "")]),
    ("- -- -u", [("", "-"), ("", "-u")]),
]


@pytest.mark.parametrize(("line", "options"), UNDERSTOOD, ids=[line for line, _ in UNDERSTOOD])
def test_understood(line: str, options: list[tuple[str, str]]) -> None:
    expected = [(name.encode(), value.encode()) for name, value in options]
    assert OPTIONS.split([word.encode() for word in line.split()]) == expected


@pytest.mark.parametrize("line", ["-x", "-ux", "-d", "--date", "--d x", "--d=x", "--debug=x", "--pres", "--unknown"])
def test_not_understood(line: str) -> None:
    assert OPTIONS.split([word.encode() for word in line.split()]) is None


def test_rows_go_on_in_indented_lines() -> None:
    table = rows("\none -a\n    --all\ntwo\n")
    assert table["one"].split([b"--all", b"-a"]) is not None
    assert table["two"].split([b"-a"]) is None

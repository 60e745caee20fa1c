# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from pytrace_exec.policy.environment import named_in, told_in


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"echo $TERM", {b"TERM"}),
        (b"TERM", {b"TERM"}),
        (b"XTERM TERMS _TERM TERM_", set()),
        (b"XTERM-TERM", {b"TERM"}),
        (b"XDG_SESSION_ID MY_XDG_SESSION_ID XDG_SESSION_", {b"XDG_SESSION_ID"}),
        (b"cd -", {b"OLDPWD"}),
        (b"x\ncd -P -\n", {b"OLDPWD"}),
        (b"pushd '-'", {b"OLDPWD"}),
        (b"ls ~-/x", {b"OLDPWD"}),
        (b"abcd - xpushd - git-cd - cd -x", set()),
        (b"git var GIT_EDITOR", {b"EDITOR"}),
        (b"git var -l", {b"EDITOR", b"PAGER"}),
        (b"myvar -l", set()),
        (b"select x in a b", {b"COLUMNS"}),
        (b"preselect x in a b", set()),
        (b"pwd.getlogin()", {b"USER", b"LOGNAME"}),
    ],
)
def test_what_a_text_reads(text: bytes, names: set[bytes]) -> None:
    assert named_in([b"nothing", text]) == names


def test_what_an_output_shows() -> None:
    assert told_in({}, [b"TERM=xterm\nMYTERM=xterm\n'LINES': 5\n"]) == {b"TERM", b"LINES"}

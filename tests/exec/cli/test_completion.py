# SPDX-License-Identifier: Apache-2.0
"""Completions in the shells that they are for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytrace_exec.cli.completion import script_for

BIN = str(Path(sys.executable).parent)

_BASH = """
eval "$SCRIPT"
COMP_WORDS=($WORDS "$LAST") COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE="$WORDS $LAST" COMP_POINT=${#COMP_LINE}
$FUNCTION "${COMP_WORDS[0]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def run(shell: str, program: str, **variables: str) -> list[str]:
    """Run a program of a shell with the completions; give its lines."""
    environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "SCRIPT": script_for(shell), **variables}
    done = subprocess.run([shell, "-c", program], env=environ, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


def bash(words: str, last: str, function: str = "_pytrace_exec") -> list[str]:
    """What bash completes a word to, after others."""
    return run("bash", _BASH, WORDS=words, LAST=last, FUNCTION=function)


@pytest.mark.parametrize(
    ("words", "last", "found"),
    [
        ("pytrace-exec", "--mo", ["--mode"]),
        ("pytrace-exec", "--no-str", ["--no-strict"]),
        ("pytrace-exec --mode", "rea", ["readwrite", "readonly"]),
        ("pytrace-exec --mode =", "rec", ["recache"]),
        ("pytrace-exec --mode", "=", ["readwrite", "readonly", "recache", "off"]),
        ("pytrace-exec --mode off --strict --probe", "c", ["content"]),
        ("pytrace-exec --env", "PYTRACE_TEST_V", ["PYTRACE_TEST_VARIABLE"]),
        ("pytrace-exec --mode off --", "pytrace-ex", ["pytrace-exec"]),
        ("pytrace-exec --mode off", "pytrace-ex", ["pytrace-exec"]),
    ],
)
def test_bash(words: str, last: str, found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTRACE_TEST_VARIABLE", "1")
    assert sorted(set(bash(words, last))) == sorted(found)


def test_bash_completes_files_for_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input").touch()
    assert bash("pytrace-exec --mode off cat", "inp") == ["input"]
    assert bash("pytrace-exec --output", "inp") == ["input"]


def test_bash_asks_the_other_two() -> None:
    assert "invalidate" in bash("pytrace", "inv", "_pytrace_completion")
    assert "serve" in bash("pytrace-cas", "ser", "_pytrace_cas_completion")


@pytest.mark.fish
def test_fish() -> None:
    def complete(line: str) -> list[str]:
        told = run("fish", 'printf "%s" "$SCRIPT" | source; complete -C "$LINE"', LINE=line)
        return [word.partition("\t")[0] for word in told]

    assert complete("pytrace-exec --mo") == ["--mode"]
    assert complete("pytrace-exec --mode rec") == ["recache"]
    assert "pytrace-exec" in complete("pytrace-exec --mode off pytrace-e")
    assert "--mode" not in complete("pytrace-exec cat --mo")
    assert complete("pytrace inva") == ["invalidate"]


@pytest.mark.zsh
def test_zsh() -> None:
    begin = 'autoload -Uz compinit; compinit -u -D; eval "$SCRIPT"; '
    told = run("zsh", begin + "print -l $_comps[pytrace-exec] $_comps[pytrace]")
    assert told == ["_pytrace_exec", "_pytrace_completion"]
    specs = script_for("zsh")
    assert "'--mode=[" in specs
    assert "(readwrite readonly recache off)" in specs

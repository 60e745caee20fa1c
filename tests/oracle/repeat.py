# SPDX-License-Identifier: Apache-2.0
"""A shell script that repeats a round without this package: it plays it plainly, then wrapped, and compares."""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Iterable, Sequence

from tests.oracle import interpreter, script
from tests.oracle.rounds import PROGRAM_STAMP, Round, Step
from tests.support.tree import Difference

PARTS = {"root": "work", "home": "home"}
HEAD = r"""#!/bin/sh
# Set WRAPPER to the pytrace-exec to try; ends 1 if a wrapped run differs from a plain one.
set -u
WRAPPER=${WRAPPER:-pytrace-exec} PYTHON=${PYTHON:-python3}
base=$(mktemp -d) && base=$(realpath "$base") && cd "$base" || exit 2

operations() { # does the operations on standard input in the world
    cat > "$base/operations"
    (cd "$base/place/work" && HOME=$base/place/home TMPDIR=$base/place/tmp \
        "$PYTHON" -I -S -B "$base/interpreter.py" "$base/operations" > /dev/null)
}
tree() { # prints all that a user sees of the world
    (cd "$base/place" && find . -printf '%p %y %m %l\n' | LC_ALL=C sort &&
        find . -type f -exec cksum {} + | LC_ALL=C sort && find . -links +1 -type f -printf '%p has links\n')
}
surroundings() { # sets what stands before the command: its environment, and in its turn the wrapper
    before="env -i HOME=$base/$place/home TMPDIR=$base/$place/tmp PWD=$base/$place/$folder"
    before="$before PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C.UTF-8 TZ=UTC0"
    wrapper=
    [ "$twin" = plain ] ||
        wrapper="$WRAPPER --dir $base/store --root $base/$place/$folder --stats-log $base/log $options --"
}
"""
TAIL = r"""
failed=0
for number in $(seq 1 {steps}); do
    for part in out err status tree; do
        diff -u "$base/plain.$number.$part" "$base/cached.$number.$part" || failed=1
    done
done
cat "$base/log"
[ $failed = 0 ] && echo "no difference"
rm -rf "$base"
exit $failed
"""


def shell_script(one: Round, differences: Sequence[Difference] = ()) -> str:
    """Write the script; what was found stands at its head as comments."""
    found = "".join(f"# {str(difference)[:300]!a}\n" for difference in differences)
    steps = "".join(_step(one, step, number) for number, step in enumerate(one.steps, 1))
    return (
        f"{HEAD}\n# {one.generator}, seed {one.seed}\n{found}{_interpreters(one)}"
        f"{_world(one)}\nhistory() {{\n{steps}}}\noptions={shlex.quote(' '.join(one.options))}\n"
        f"twin=plain; history\ntwin=cached; history\n{TAIL.replace('{steps}', str(len(one.steps)))}"
    )


def _interpreters(one: Round) -> str:
    """Write the interpreter that makes worlds, and the other one where that runs the program."""
    written = _here("interpreter.py", inspect.getsource(interpreter))
    if one.kind != "operations" or one.python:
        return written
    source, options = script.C_SOURCE.read_text(), " ".join(script.C_OPTIONS)
    return f"{written}{_here('interpreter.c', source)}gcc {options} -o interpreter interpreter.c || exit 2\n"


def _here(name: str, content: str) -> str:
    return f"cat > \"$base/{name}\" <<'END_OF_FILE'\n{content.rstrip()}\nEND_OF_FILE\n"


def _operations(lines: Iterable[str]) -> str:
    return "operations <<'END_OF_FILE'\n" + "".join(f"{line}\n" for line in lines) + "END_OF_FILE\n"


def _world(one: Round) -> str:
    program = place = ""
    if one.kind == "operations":
        program = _here("program", script.text(one.program, one.ordered).decode())
        place = f'cp "$base/program" place/work/program; touch -d @{PROGRAM_STAMP} place/work/program\n'
    made = _operations(("", *script.lines(one.world)))
    return f"{program}world() {{\nrm -rf place; mkdir -p place/work place/home place/tmp\n{place}{made}}}\n"


def _step(one: Round, step: Step, number: int) -> str:
    """Write one step: make the world anew, change it, move it where it is to run, run, look."""
    lines = [f"# {number}: {step.label!a}"]
    if step.anew or number == 1:
        lines.append("world")
    if step.changes:
        lines.append(_operations(("ticking" if one.ordered else "", *script.lines(step.changes))).rstrip())
    folder = os.path.normpath(f"work/{step.directory}")
    lines.append(f"place={step.place}; folder={folder}; surroundings; result=$base/$twin.{number}")
    moved = step.place != "place"
    lines += [f"mv place {step.place}"] if moved else []
    lines += _surroundings(step)
    beside, wait = (f"{_beside(one, step)}\n", "\nwait\n") if step.who == "both" else ("", "")
    lines.append(f'(cd "$base/$place/$folder" && umask {step.umask:03o}\n{beside}{_run(one, step)}{wait})')
    lines += [f"mv {step.place} place"] if moved else []
    lines.append('tree > "$result.tree"')
    return "\n".join(lines) + "\n"


def _surroundings(step: Step) -> list[str]:
    """Write the lines that set the step's variables and its standard input."""
    variables = dict(step.variables)
    words = [f"{name}={value}" for name, value in variables.items() if value is not None]
    stdin = "" if step.stdin is None else step.stdin.decode()
    return [f"set -- {' '.join(map(shlex.quote, words))}", f'printf %s {shlex.quote(stdin)} > "$base/stdin"']


def _beside(one: Round, step: Step) -> str:
    """Write what starts the rival of a race, in both twins: what comes of it hangs on chance."""
    said = '> "$result.rival" 2>&1'
    return f'(sleep {step.lead}; $before "$@" $wrapper {_command(one, rival=True)} < /dev/null {said}) &'


def _command(one: Round, rival: bool) -> str:
    """Write a command line, its places as this run of the script has them."""
    command = " ".join(map(shlex.quote, one.command(rival=rival)))
    for part in ("root", "home"):  # quoting has put a word with a place in it between single quotes
        command = command.replace(f"{{{part}}}", f"'\"$base/$place/{PARTS[part]}\"'")
    return command


def _run(one: Round, step: Step) -> str:
    """Write the command line, its streams as pipes where the round has them as pipes."""
    command = '"$PYTHON" -I -S -B "$base/interpreter.py" program' if one.python else '"$base/interpreter" program'
    if one.kind != "operations":
        command = _command(one, rival=step.who == "rival")
    stdin = "/dev/null" if step.stdin is None else '"$base/stdin"'
    skip = f"dd bs=1 count={step.stdin_offset} of=/dev/null status=none; " if step.stdin_offset else ""
    run = f'{{ {skip}$before "$@" $wrapper {command}; echo $? > "$result.status"; }} < {stdin}'
    streams = {
        "pipes": f'{{ {run} 2>&3 3>&- | cat > "$result.out"; }} 3>&1 | cat > "$result.err"',
        "one pipe": f': > "$result.err"; {run} 2>&1 | cat > "$result.out"',
        "file": f': > "$result.out"; {run} 2>&1 > redirected | cat > "$result.err"',
        "append": f': > "$result.out"; {run} 2>&1 >> redirected | cat > "$result.err"',
    }
    return streams[one.streams]

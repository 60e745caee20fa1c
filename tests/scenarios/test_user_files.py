# SPDX-License-Identifier: Apache-2.0
"""Commands that meet something of the user's: each as a plain run, nothing lost."""

from __future__ import annotations

import os

import pytest

from pytrace_exec.tracer import native
from tests.support.scenario import Scenario

pytestmark = [pytest.mark.strace]

# What is there, the command (for `sh -c`), and what happens between runs. Before each change the world is made
# anew and the command hits once, so that a stored result is there to be replayed wrongly.
CASES = {
    "mv of a changed file": ("echo one > a", "mv a b", ["echo two > a", "echo one > a; echo user > b", "mkdir b"]),
    "cp -n over a user's file": ("echo one > a", "cp -n a b", ["echo user > b", "ln -s a b", ": > b"]),
    "cp -u over a user's file": (
        "echo one > a; touch -d @1500000000 a", "cp -u a b",
        ["echo user > b", "echo older > b; touch -d @1400000000 b", "touch a; echo older > b; touch -d @1600000000 b"],
    ),
    "cp --no-clob over a user's file": ("echo one > a", "cp --no-clob a b", ["echo user > b", "ln -s a b", ": > b"]),
    "install --back over a user's file": ("echo one > a", "install --back a b", ["echo user > b", "echo user > b~"]),
    "cp --attributes-only over a user's file": ("echo one > a", "cp --attributes-only a b", ["echo user > b", ": > b"]),
    "cp --upd over a user's file": (
        "echo one > a; touch -d @1500000000 a", "cp --upd a b",
        ["echo user > b", "echo older > b; touch -d @1400000000 b"],
    ),
    "mv --no-c over a user's file": ("echo one > a", "mv --no-c a b", ["echo user > b", "mkdir b"]),
    "cp --pres of a touched file": (
        "echo one > a; touch -d @1500000000 a", "cp --pres a b; stat -c %Y b",
        ["touch -d @1400000000 a", "chmod 600 a"],
    ),
    "cp --arch of a touched file": (
        "echo one > a; touch -d @1500000000 a", "cp --arch a b; stat -c %Y b", ["touch -d @1400000000 a"],
    ),
    "install --preserve-t of a touched file": (
        "echo one > a; touch -d @1500000000 a", "install --preserve-t a b; stat -c %Y b", ["touch -d @1400000000 a"],
    ),
    "date -r of a touched file": (
        "echo one > a; touch -d @1500000000 a", "date -ur a; date --ref=a +%s", ["touch -d @1400000000 a"],
    ),
    "touch --ref of a touched file": (
        "echo one > a; touch -d @1500000000 a", "touch --ref=a b; stat -c %Y b", ["touch -d @1400000000 a"],
    ),
    "rm -i of an emptied file": ("echo one > a", "yes | rm -i a", [": > a"]),
    "cp over a user's file": (
        "echo one > a", "cp a b", ["echo user > b", "ln -s a b", "echo x > b; chmod 600 b", "mv a b; ln -s b a"],
    ),
    "[ -s x ] || gen > x": (":", "[ -s x ] || echo generated > x", ["echo user > x", ": > x", "mkdir x", "ln -s y x"]),
    "chmod of a changed file": ("echo one > f", "chmod 600 f", ["echo two > f", "chmod 755 f", "rm f; mkdir f"]),
    "chmod before an overwrite": (
        "echo one > a; echo x > out", "chmod 600 out; cat a > out", ["rm out", "chmod 755 out"],
    ),
    "mkdir d || echo had": (":", "mkdir d || echo had", ["mkdir d", "echo file > d", "ln -s nowhere d"]),
    "a symlink where the output goes": (
        "echo one > a", "cat a > out", ["echo precious > user; ln -s user out", "ln -s nowhere out", "ln -s a out"],
    ),
    "a read-only file where the output goes": ("echo one > a", "cat a > out", ["echo x > out; chmod 444 out"]),
    "two hard links": (
        "echo one > a", "cat a > out", ["echo x > out; ln out other", "ln a out", "echo x > out; cp -l out d"],
    ),
    "echo line >> log": (":", "echo line >> log", ["echo user > log", "echo line > log", "mkdir log"]),
    "mv -n over a user's file": ("echo one > a", "mv -n a b", ["echo user > b", "mkdir b", "ln -s nowhere b"]),
    "a makefile's mv -f of a temporary file": (
        "echo one > a", "cat a > out.tmp && mv -f out.tmp out",
        ["echo x > out; ln out other", "ln -s a out", "mkdir out"],
    ),
    "sed -i of a changed file": (
        "echo one > a", "sed -i s/one/1/ a", ["echo 'one more' > a", "ln a other", "chmod 600 a"],
    ),
    "rm of a user's folder": (
        "mkdir d; echo one > d/a", "rm -r d", ["echo precious > d/user", "mkdir d/sub", "rm -r d"],
    ),
    "rmdir of a filled folder": ("mkdir d", "rmdir d || echo kept", ["echo precious > d/user", "rmdir d"]),
    "a program of the user's with a known name": (
        "echo one > a; printf '#!/bin/sh\\nstat -c %%s a\\n' > rm; chmod 755 rm", "./rm", ["echo longer > a"],
    ),
    "touch of a changed file": ("echo one > a", "touch a", ["echo two > a", "rm a", "chmod 600 a"]),
    "ln -s over something": ("echo one > a", "ln -s a b || echo taken", ["echo user > b", "mkdir b"]),
    "a second name of a file in a renamed folder": (
        "mkdir -p d; echo one > d/a", "ln d/a b; rm -rf x; mv d x",
        ["echo two > d/a", "echo precious > d/user", "mkdir b"],
    ),
    "a second name of a renamed file": ("echo one > a", "mv a b; ln b f", ["echo two > a", "echo user > f", "mkdir b"]),
    "ln -sf over something": ("echo one > a", "ln -sf a b", ["echo user > b", "mkdir b", "ln -s c b"]),
}  # fmt: skip


# What overwrites its own input is not stored by a tracer that cannot keep it.
NOT_STORED = set() if native.is_built() else {"sed -i of a changed file"}


@pytest.mark.parametrize("name", CASES)
def test_as_a_plain_run(scenario: Scenario, name: str) -> None:
    there, command, happenings = CASES[name]
    scenario.do(there)
    scenario.keep()
    scenario.ask("sh", "-c", command, outcome="not_stored" if name in NOT_STORED else "miss")
    for happening in happenings:
        scenario.anew()
        scenario.ask("sh", "-c", command, outcome="not_stored" if name in NOT_STORED else "hit")
        scenario.anew()
        scenario.do(happening)
        scenario.ask("sh", "-c", command)


@pytest.mark.parametrize("name", CASES)
def test_again_and_again_in_place(scenario: Scenario, name: str) -> None:
    there, command, happenings = CASES[name]
    scenario.do(there)
    for _ in range(4):
        scenario.ask("sh", "-c", command)
    scenario.do(f"rm -rf a b d f x out log; {there}; {happenings[0]}")
    for _ in range(3):
        scenario.ask("sh", "-c", command)


@pytest.mark.parametrize("command", ["pwd", "echo $HOME", "realpath .", "echo $PWD > place"])
def test_a_second_checkout_tells_its_own_place(scenario: Scenario, command: str) -> None:
    scenario.ask("sh", "-c", command, outcome="miss")
    scenario.ask("sh", "-c", command, outcome="miss", place="second-checkout")
    scenario.ask("sh", "-c", command, outcome="hit")


def test_the_folder_name_of_a_second_checkout(scenario: Scenario) -> None:
    scenario.do("mkdir one two")
    command = ("sh", "-c", 'basename "$PWD"')
    assert scenario.ask(*command, directory="one", root="one").cached.stdout == b"one\n"
    assert scenario.ask(*command, directory="two", root="two").cached.stdout == b"two\n"


@pytest.mark.parametrize("command", [("basename",), ("expr", "length")])
def test_the_folder_as_an_argument_in_a_second_checkout(scenario: Scenario, command: tuple[str, ...]) -> None:
    scenario.do("mkdir one eleven")
    work = os.fsdecode(os.path.join(scenario.sandbox.base, b"place/work"))
    for folder in ("one", "eleven"):
        scenario.ask(*command, f"{work}/{folder}", directory=folder, root=folder, outcome="miss")
    scenario.ask(*command, f"{work}/one", directory="one", root="one", outcome="hit")


def test_date_is_never_stored(scenario: Scenario) -> None:
    for _ in range(2):
        pair = scenario.ask("sh", "-c", "date > /dev/null; echo done", outcome="not_stored")
        assert "clock" in " ".join(pair.record.reasons)


@pytest.mark.parametrize(
    "command",
    [
        "date -d yesterday +%s.%N", "date --dat='1 day'", "date -d '-1 sec'", "date -f a", "touch -d '1 hour ago' a",
        "touch -t 01010000 a", "ls -l a", "find . -newermt '1 hour ago'", "git log -1 --format=%ar",
        "git log -1 --since=2001-01-01", "tar --mtime=yesterday -cf o a", "uptime", "ps", "who", "w", "last",
        "stat -f -c %a .", "stat a",
    ],
)  # fmt: skip
def test_a_question_for_the_clock_or_the_machine_is_never_stored(scenario: Scenario, command: str) -> None:
    scenario.do("echo 2001-01-01 > a")
    # What the answer is, and whether the machine has the program, differs.
    pair = scenario.ask("sh", "-c", f"{command} > /dev/null 2>&1; touch -d @0 a; echo done", outcome="not_stored")
    assert {"clock", "machine"} & set(pair.record.reasons)


@pytest.mark.parametrize(
    "command", ["date -ud 2001-01-01", "date -Ru --dat=@0", "touch -d 2001-01-01 a; stat -c %Y a", "ls --full-time a"]
)
def test_a_fixed_date_is_stored(scenario: Scenario, command: str) -> None:
    scenario.do("echo one > a; touch -d @1500000000 a")
    scenario.keep()
    scenario.ask("sh", "-c", command, outcome="miss")
    scenario.anew()
    scenario.ask("sh", "-c", command, outcome="hit")


def test_a_stored_clock_is_asked_for(scenario: Scenario) -> None:
    command = ("sh", "-c", "date > /dev/null; echo done")
    scenario.ask(*command, outcome="miss", options=("--allow-clock",))
    scenario.ask(*command, outcome="hit", options=("--allow-clock",))


@pytest.mark.parametrize("command", [("head", "-c", "6"), ("sh", "-c", "read line; echo $line"), ("cat",)])
def test_stdin_shared_with_a_later_command(scenario: Scenario, command: tuple[str, ...]) -> None:
    text = b"first\nsecond\nthird\n"
    first = scenario.ask(*command, outcome="miss", stdin=text)
    again = scenario.ask(*command, outcome="hit", stdin=text)
    assert again.cached.stdin_offset == first.plain.stdin_offset
    scenario.ask(*command, stdin=text, stdin_offset=6)
    scenario.ask(*command, stdin=b"other\nsecond\nthird\n")
    scenario.ask(*command, outcome="hit", stdin=text)


def test_an_unread_stdin_does_not_count(scenario: Scenario) -> None:
    scenario.ask("echo", "said", outcome="miss", stdin=b"one\n")
    pair = scenario.ask("echo", "said", outcome="hit", stdin=b"two\n")
    assert pair.cached.stdin_offset == 0


@pytest.mark.parametrize("streams", ["file", "append"])
def test_a_command_that_reads_its_own_output(scenario: Scenario, streams: str) -> None:
    scenario.do("echo foo > redirected; echo foo > a; mkdir d; echo foo > d/b")
    scenario.keep()
    for command in (("cat", "redirected"), ("grep", "-r", "foo", ".")):
        for _ in range(2):
            scenario.anew()
            scenario.ask(*command, streams=streams)
        scenario.ask(*command, streams=streams)


@pytest.mark.parametrize("command", ["cat f >> f", "grep -r foo . > out", "cat f f > g", "cat < f >> g"])
def test_redirections_inside_the_command(scenario: Scenario, command: str) -> None:
    scenario.do("echo foo > f; mkdir d; echo foo > d/b")
    scenario.keep()
    for _ in range(3):
        scenario.ask("sh", "-c", command)
    scenario.anew()
    scenario.do("echo 'more foo' >> f")
    scenario.ask("sh", "-c", command)


def test_an_own_output_that_matters_for_one_input_only(scenario: Scenario) -> None:
    command = 'e=; [ -e out ] && e=1; read line < in; [ "$line" = loud ] && [ "$e" ] && echo again; cat in > out'
    for line in ("quiet", "calm", "loud"):
        scenario.do(f"rm -f out; echo {line} > in")
        scenario.ask("sh", "-c", command, outcome="miss")
    for line in ("quiet", "calm", "quiet", "calm", "loud", "loud", "quiet"):
        scenario.do(f"echo {line} > in")
        scenario.ask("sh", "-c", command)

# SPDX-License-Identifier: Apache-2.0
"""Programs that read standard input, and ask what stands on 0, 1 and 2."""

from __future__ import annotations

from tests.corpus.case import Case, python, shell

CASES = (
    Case(
        "standard input is a file",
        ("cat",),
        around={"stdin": b"one two"},
        facts="",
        also="""
            stream/kind%200 : file
            stream/kind%201 : pipe
            stream/stdin : file sha256
        """,
        misses=({"stdin": b"two"}, {"stdin_offset": 3}),
        covers="A14",
    ),
    Case(
        "a part of standard input",
        ("head", "-c", "3"),
        around={"stdin": b"one two", "stdin_offset": 1},
        facts="",
        also="stream/stdin : file sha256",
        misses=({"stdin": b"ten two"},),
        covers="A14 A15",
    ),
    Case(
        "standard input that nobody reads",
        ("true",),
        around={"stdin": b"one"},
        facts="",
        never="stream",
        hits=({"stdin": b"two"},),
        covers="A17",
    ),
    Case(
        "a pipe that nobody reads and nobody closes",
        ("true",),
        outer='{ sleep 0.4; } | "$@"',
        facts="",
        never="stream",
        covers="A17",
    ),
    Case("a pipe that is read", ("cat",), outer='printf one | "$@"', reasons=("pipe_read",), covers="A16"),
    Case(
        "a pipe whose content is in the key",
        ("cat",),
        outer='printf one | "$@"',
        around={"options": ("--stdin",)},
        facts="",
        also="stream/stdin : pipe sha256",
        misses=({"outer": 'printf two | "$@"'},),
        covers="A16",
    ),
    Case(
        "whether standard output is a terminal",
        python("print(os.isatty(1))"),
        facts="",
        also="stream/kind%201 : pipe",
        misses=({"streams": "file"},),
        covers="A72",
    ),
    Case(
        "both outputs in one pipe",
        shell("echo a; echo b >&2; echo c"),
        around={"streams": "one pipe"},
        facts="status . : dir 0755",
        also="stream/kind%202 : pipe as 1",
        misses=({"streams": "pipes"},),
        covers="A75",
    ),
    Case(
        "standard output is a file that is read as well",
        ("head", "-c", "3", "redirected"),
        given="echo one > redirected",
        around={"streams": "append"},
        reasons=("input_changed", "stream_is_input"),
        covers="A76",
    ),
    Case(
        "standard output is a file",
        shell("echo one; cat in"),
        around={"streams": "file"},
        facts="""
            status . : dir 0755
            content in : =in
            status in : file 0644 =in
        """,
        misses=("echo two > in",),
    ),
    Case(
        "no standard output",
        shell("echo one || true"),
        outer='exec "$@" >&-',
        facts="status . : dir 0755",
        also="stream/kind%201 : closed",
        misses=({"outer": 'exec "$@"'},),
    ),
)

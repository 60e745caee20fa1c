# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

REPLAY = """if True:
    import sys
    from pytrace_exec.streams.replay import StreamFailed, replay_streams
    from pytrace_exec.streams.spool import Spool
    out, err = Spool(b"/tmp"), Spool(b"/tmp")
    segments = eval(sys.argv[1])
    for stream, length in segments:
        (out if stream == 1 else err).append(b"%d" % stream * length)
    sys.stdin.read()
    try:
        replay_streams(segments, out, err)
    except StreamFailed as error:
        print(f"begun={error.begun}", file=sys.stderr)
        raise
"""


def replay(segments: list[tuple[int, int]], **options: Any) -> Any:
    return subprocess.Popen([sys.executable, "-c", REPLAY, repr(segments)], **options)


def test_streams_are_written_in_order() -> None:
    segments = [(1, 3), (2, 200_000), (1, 200_000), (2, 1)]
    with replay(segments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        out = process.stdout.read()
    assert out == b"111" + b"2" * 200_000 + b"1" * 200_000 + b"2"
    assert process.returncode == 0


@pytest.mark.parametrize("read", [0, 10])
def test_a_reader_that_went_away_is_told_with_whether_it_read(read: int) -> None:
    with replay([(1, 10_000_000)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        if read:
            process.stdin.close()
            process.stdout.read(read)
            process.stdout.close()
        else:
            process.stdout.close()
            process.stdin.close()
        said = process.stderr.read()
    assert b"StreamFailed" in said
    assert (b"begun=True" in said) == bool(read)


def test_a_source_that_is_too_short_is_an_error() -> None:
    code = REPLAY.replace("(out if stream == 1 else err)", "err")
    done = subprocess.run([sys.executable, "-c", code, "[(1, 5)]"], capture_output=True)
    assert done.returncode == 1
    assert b"EOFError" in done.stderr


def test_what_a_hit_imports() -> None:
    code = "import sys; import pytrace_exec.streams.replay; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert not {"typing", "subprocess", "select", "fcntl", "attrs", "pathlib", "json"} & set(done.stdout.split())

# SPDX-License-Identifier: Apache-2.0
"""Execution logs of Bazel: read from bytes that this file writes by the published field numbers, and compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytrace_exec.bazel_logs.comparing import ADDED, NON_HERMETIC, REMOVED, Change, compare, described
from pytrace_exec.bazel_logs.spawns import NotALog, is_log, read_log
from tests.support.zstd import zstd

A, B = "a" * 64, "b" * 64


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*fields: tuple[int, bytes | str | int]) -> bytes:
    return b"".join(field(number, value) for number, value in fields)


def packed(*numbers: int) -> bytes:
    return b"".join(map(varint, numbers))


def digest(hash: str, size: int = 3) -> bytes:
    return message((1, hash), (2, size))


def delimited(*entries: bytes) -> bytes:
    return b"".join(varint(len(entry)) + entry for entry in entries)


def compact(tmp_path: Path, name: str, *entries: bytes) -> str:
    path = tmp_path / name
    path.write_bytes(zstd.compress(delimited(*entries)))
    return str(path)


def file(id: int, path: str, hash: str) -> bytes:
    return message((1, id), (3, message((1, path), (2, digest(hash)))))


def env(name: str, value: str) -> bytes:
    return message((1, name), (2, value))


def build(
    lib: str = A, out: str = A, mode: str = "fast", flag: str = "-O1", tool: str = A, old: bool = False
) -> list[bytes]:
    """Entries of a build of one command with an input, a tool, a runfiles tree, and an output; and a link.

    `old`: as Bazel 7.0 wrote sets and outputs.
    """
    inner = [(1, packed(1))] if old else [(5, packed(1, 4, 5, 6))]
    outer = [(1, packed(2)), (4, packed(10))] if old else [(5, packed(2)), (4, packed(10))]
    runfiles = message((1, "out/t.runfiles"), (2, 12), (3, 13), (5, "_main/__init__.py"), (6, message((2, digest(A)))))
    spawn: list[tuple[int, bytes | str | int]] = [
        (1, "cc"), (1, flag), (2, env("MODE", mode)), (3, message((1, env("os", "linux")))), (4, 11), (5, 12),
        (6, message((1 if old else 5, 3))), (6, message((4, "out/gone"))), (7, "//x:y"), (8, "CppCompile"),
    ]  # fmt: skip
    return [
        message((2, message((1, "SHA-256"), (4, "id")))),
        file(1, "lib.h", lib),
        file(2, "tool", tool),
        file(3, "out/y.o", out),
        message((1, 4), (4, message((1, "tree"), (2, message((1, "f"), (2, digest(A))))))),
        message((1, 5), (5, message((1, "l"), (2, "target")))),
        message((1, 12), (6, message((1 if old else 5, packed(2))))),
        message((1, 13), (9, message((1, message((1, "data/x"), (2, 1)))))),
        message((1, 6), (10, runfiles)),
        message((1, 10), (6, message(*inner))),
        message((1, 11), (6, message(*outer))),
        message((7, message(*spawn))),
        message((8, message((1, "out/y.o"), (2, "out/z"), (3, "//x:z"), (4, "Symlink")))),
    ]  # fmt: skip


def changes(first: str, second: str) -> list[Change]:
    return compare(read_log(first), read_log(second))


def test_what_a_compact_log_says(tmp_path: Path) -> None:
    spawn, link = read_log(compact(tmp_path, "log", *build()))
    assert (spawn.mnemonic, spawn.target, spawn.output) == ("CppCompile", "//x:y", "out/gone")
    assert (spawn.arguments, spawn.environment, spawn.platform) == (("cc", "-O1"), {"MODE": "fast"}, {"os": "linux"})
    assert spawn.inputs == {
        "lib.h": f"{A}/3",
        "tool": f"{A}/3",
        "tree/f": f"{A}/3",
        "l": "-> target",
        "out/t.runfiles: tool": f"{A}/3",
        "out/t.runfiles: data/x": f"{A}/3",
        "out/t.runfiles: _main/__init__.py": "empty",
        "out/t.runfiles: _repo_mapping": f"{A}/3",
    }
    assert spawn.tools == frozenset({"tool"})
    assert spawn.outputs == {"out/y.o": f"{A}/3", "out/gone": None}
    assert (link.mnemonic, link.outputs) == ("Symlink", {"out/z": "-> out/y.o"})


def test_the_numbers_of_bazel_7_0(tmp_path: Path) -> None:
    spawn, _ = read_log(compact(tmp_path, "log", *build(old=True)))
    assert (spawn.inputs, spawn.outputs["out/y.o"]) == ({"lib.h": f"{A}/3", "tool": f"{A}/3"}, f"{A}/3")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, ()),
        ({"lib": B, "out": B}, ("inputs changed", "outputs changed")),
        ({"tool": B}, ("tools changed", "inputs changed")),  # the runfiles tree leads to it as well
        ({"mode": "slow"}, ("environment changed",)),
        ({"flag": "-O2"}, ("arguments changed",)),
        ({"out": B}, (NON_HERMETIC,)),
    ],
)
def test_every_change_has_its_word(tmp_path: Path, other: dict[str, str], said: tuple[str, ...]) -> None:
    found = changes(compact(tmp_path, "a", *build()), compact(tmp_path, "b", *build(**other)))  # type: ignore[arg-type]
    assert [change.changes for change in found] == ([said] if said else [])


def test_what_came_and_went(tmp_path: Path) -> None:
    first, second = compact(tmp_path, "a", *build()), compact(tmp_path, "b", *build()[:-1])
    assert [change.changes for change in changes(first, second)] == [(REMOVED,)]
    assert [change.changes for change in changes(second, first)] == [(ADDED,)]
    assert [group["mnemonic"] for group in described(changes(second, first))] == ["Symlink"]


def test_an_input_that_another_command_made(tmp_path: Path) -> None:
    """Its change follows from that command's."""

    def chain(hash: str) -> list[bytes]:
        first = message((1, "gen"), (6, message((5, 1))), (8, "Genrule"))
        second = message((1, "cc"), (4, 2), (6, message((5, 3))), (8, "CppCompile"))
        set_ = message((1, 2), (6, message((5, packed(1)))))
        return [file(1, "out/g", hash), message((7, first)), set_, file(3, "out/o", hash), message((7, second))]

    found = changes(compact(tmp_path, "a", *chain(A)), compact(tmp_path, "b", *chain(B)))
    rows = {change.mnemonic: {(row.part, row.letter, row.made_by) for row in change.rows} for change in found}
    assert rows["CppCompile"] == {("inputs", "M", "out/g"), ("outputs", "M", None)}


def _exec(hash: str) -> bytes:
    """A `SpawnExec` of the older logs."""
    return message(
        (1, "cc"), (2, env("MODE", "fast")), (4, message((1, "lib.h"), (2, digest(hash)))), (5, "out/y.o"),
        (10, "CppCompile"), (11, message((1, "out/y.o"), (2, digest(A)))), (15, 1), (18, "//x:y"),
    )  # fmt: skip


def _as_json(hash: str) -> str:
    made = {"hash": A, "sizeBytes": "3", "hashFunctionName": "SHA-256"}
    return json.dumps(
        {
            "commandArgs": ["cc"],
            "environmentVariables": [{"name": "MODE", "value": "fast"}],
            "inputs": [{"path": "lib.h", "digest": {**made, "hash": hash}}],
            "listedOutputs": ["out/y.o"],
            "mnemonic": "CppCompile",
            "actualOutputs": [{"path": "out/y.o", "digest": made}],
            "exitCode": 1,
            "targetLabel": "//x:y",
        },
        indent=2,
    )


def test_the_older_forms_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(delimited(_exec(A), _exec(B)))
    (tmp_path / "json").write_text(_as_json(A) + _as_json(B) + "\n")
    binary, text = (read_log(str(tmp_path / name)) for name in ("binary", "json"))
    assert binary == text
    assert [spawn.inputs for spawn in binary] == [{"lib.h": f"{A}/3"}, {"lib.h": f"{B}/3"}]
    assert compare(binary, text) == []


@pytest.mark.parametrize("data", [b"text", b"\x28\xb5\x2f\xfd", b"{", b'{"a": 1', b"\x05\x01", b'{"inputs": [{}]}'])
def test_what_is_no_log(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "log").write_bytes(data)
    if is_log(str(tmp_path / "log")):
        with pytest.raises(NotALog):
            read_log(str(tmp_path / "log"))


@pytest.mark.parametrize(
    "entries",
    [
        [message((7, message((4, 9))))],
        [file(1, "x", A), message((7, message((4, 1))))],
        [message((1, 2), (6, message((4, packed(2))))), message((7, message((4, 2))))],
    ],
    ids=["unknown", "no set", "itself"],
)
def test_references_that_lead_nowhere(tmp_path: Path, entries: list[bytes]) -> None:
    with pytest.raises(NotALog):
        read_log(compact(tmp_path, "log", *entries))


def test_a_long_chain_of_sets(tmp_path: Path) -> None:
    """Deeper than Python's stack."""
    sets = [message((1, n), (6, message((4, packed(n - 1))))) for n in range(3, 5000)]
    entries = [file(1, "x", A), message((1, 2), (6, message((5, packed(1))))), *sets, message((7, message((4, 4999))))]
    (spawn,) = read_log(compact(tmp_path, "log", *entries))
    assert spawn.inputs == {"x": f"{A}/3"}

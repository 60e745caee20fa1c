# SPDX-License-Identifier: Apache-2.0
"""The parts of an explanation: packages that own files, differences of contents, places that moved."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_cas.explained import contents
from pytrace_cas.explained.commands import command_differences
from pytrace_cas.explained.listings import read_listing
from pytrace_cas.recorded.origins import decode_origin, encode_origin
from pytrace_cas.recorded.places import Places
from pytrace_exec.explain import packages
from pytrace_exec.explain.packages import owner
from pytrace_exec.keys.messages import make_command
from pytrace_exec.observe.facts import canonical_listing


@pytest.mark.skipif(not os.path.exists("/var/lib/dpkg/status"), reason="no dpkg here")
def test_the_system_s_own_packages() -> None:
    """dpkg-query says the same, in whichever folder the package names the file."""
    for tool in ("sh", "cat", "dpkg-query"):
        path = shutil.which(tool, path="/bin:/usr/bin")
        assert path is not None
        found = owner(os.fsencode(path))
        assert found is not None
        said = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", found.name], capture_output=True, check=True
        ).stdout.decode()
        assert (found.system, found.version) == ("dpkg", said)
    assert owner(b"/no/such/tool") is None


def test_apk(tmp_path: Path) -> None:
    base = os.fsencode(tmp_path)
    (tmp_path / "lib/apk/db").mkdir(parents=True)
    (tmp_path / "lib/apk/db/installed").write_text(
        "P:musl\nV:1.2.4-r2\nF:lib\nR:libc.so\n\nP:busybox\nV:1.36.1-r5\nF:bin\nR:busybox\nF:usr/share/x\nR:y\n\n"
    )
    found = owner(b"/bin/busybox", base)
    assert found == packages.Package("apk", "busybox", "1.36.1-r5")
    assert str(owner(b"/usr/share/x/y", base)) == "busybox 1.36.1-r5 (apk)"
    assert owner(b"/usr/share/x/z", base) is None


def _header(strings: dict[int, list[bytes]], numbers: dict[int, list[int]]) -> bytes:
    """A header of an RPM file without its magic: index entries, then the data they point into."""
    index, data = b"", b""
    for tag, values in strings.items():
        index += struct.pack(">IIiI", tag, 6 if len(values) == 1 else 8, len(data), len(values))
        data += b"".join(value + b"\0" for value in values)
    for tag, words in numbers.items():
        data += bytes(-len(data) % 4)
        index += struct.pack(">IIiI", tag, 4, len(data), len(words))
        data += struct.pack(f">{len(words)}I", *words)
    return struct.pack(">II", len(index) // 16, len(data)) + index + data


def test_rpm(tmp_path: Path) -> None:
    folder = tmp_path / "var/lib/rpm"
    folder.mkdir(parents=True)
    names = {
        1000: [b"gcc"],
        1001: [b"13.2.1"],
        1002: [b"3.fc39"],
        1117: [b"cpp", b"gcc"],
        1118: [b"/lib/", b"/usr/bin/"],
    }
    blob = _header(names, {1116: [0, 1], 1003: [2]})
    with sqlite3.connect(folder / "rpmdb.sqlite") as db:
        db.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        db.execute("CREATE TABLE Basenames (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)")
        db.execute("INSERT INTO Packages VALUES (7, ?)", (blob,))
        db.executemany("INSERT INTO Basenames VALUES (?, 7, ?)", [("cpp", 0), ("gcc", 1)])
    db.close()
    base = os.fsencode(tmp_path)
    assert str(owner(b"/usr/bin/gcc", base)) == "gcc 2:13.2.1-3.fc39 (rpm)"
    assert owner(b"/opt/bin/gcc", base) is None
    with sqlite3.connect(folder / "rpmdb.sqlite") as db:
        db.execute("UPDATE Packages SET blob = ?", (blob[:40],))
    db.close()
    assert owner(b"/usr/bin/gcc", base) is None


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_the_first_difference(old: bytes, new: bytes) -> None:
    at = contents.first_difference(old, new)["offset"]
    assert old[:at] == new[:at]
    assert old == new or old[at : at + 1] != new[at : at + 1]


def test_diffs_are_bounded_and_binary_is_said_so() -> None:
    told = contents.text_diff(b"a\nb\n", b"a\nc", "a/x", "b/x")
    assert told == {"diff": ["--- a/x", "+++ b/x", "@@ -1,2 +1,2 @@", " a", "-b", "+c (no newline at the end)"]}
    long = contents.text_diff(b"a\n" * 500, b"b\n" * 500, "a", "b")
    assert (len(long["diff"]), long["diff_omitted"]) == (contents.MAX_LINES, 903)
    binary = contents.text_diff(b"\0" * 20 + b"a", b"\0" * 20 + b"b", "a", "b")
    assert (binary["no_diff"], binary["offset"], binary["old_bytes"][-2:], binary["new_bytes"][-2:]) == (
        "binary",
        20,
        "61",
        "62",
    )
    assert contents.text_diff(bytes(contents.MAX_BYTES + 1), b"", "a", "b")["no_diff"] == "too large"
    assert contents.text_diff(b"\n" * contents.MAX_COMPARED, b"x", "a", "b")["no_diff"] == "too many lines"


def test_where_a_result_was_made() -> None:
    places = Places(b"/a b/%\xff", None, b"/tmp")
    again = decode_origin(encode_origin(places))
    assert again is not None
    assert (again.root, again.home, again.tmp) == (places.root, places.home, places.tmp)
    for junk in (b"", b"pytrace origin 1\n", b"pytrace origin 1\nroot relative\n", b"pytrace origin 2\nroot /a\n"):
        assert decode_origin(junk) is None


@given(
    st.dictionaries(st.binary(min_size=1, max_size=9).filter(lambda name: b"\0" not in name), st.sampled_from("fdlo"))
)
def test_listings_are_read_back(names: dict[bytes, str]) -> None:
    assert read_listing(canonical_listing(list(names.items()))) == names


def test_what_was_the_same_then_did_not_change() -> None:
    """A variable keeps naming the first checkout; only the checkout is another one."""
    first, here = Places(b"/first"), Places(b"/second")
    old = make_command((b"cc", b"/first/a"), {b"A": b"/first/x"}, first, b"/first", 0o22, 0)
    new = make_command((b"cc", b"/first/a"), {b"A": b"/first/x"}, here, b"/second", 0o22, 0)
    found = list(command_differences(old, new, here, first))
    assert [(one["code"], one["old"], one["new"]) for one in found] == [
        ("belongs_to_checkout", "/first", "/second")
    ] * 2
    other = make_command((b"cc", b"/first/a"), {b"A": b"/first/y"}, here, b"/second", 0o22, 0)
    assert [one["code"] for one in command_differences(old, other, here, first)] == [
        "belongs_to_checkout",
        "environment_changed",
    ]


def test_of_a_secret_only_its_name_is_told() -> None:
    places = Places(b"/r")
    old, new = (make_command((b"cc",), {b"KEY": b"sha256:" + end}, places, b"/r", 0o22, 0) for end in (b"1", b"2"))
    (found,) = command_differences(old, new, places)
    assert (found["name"], found["old"], found["new"], found["hidden"]) == ("KEY", "(not shown)", "(not shown)", True)

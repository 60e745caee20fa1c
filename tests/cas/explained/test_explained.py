# SPDX-License-Identifier: Apache-2.0
"""Differences in the words of those who made them; real runs are in `cli/test_explain.py`."""

from __future__ import annotations

import pytest

from pytrace_cas.explained.commands import command_differences
from pytrace_cas.explained.facts import Comparison
from pytrace_cas.explained.reasons import SENTENCES, in_order, reason
from pytrace_cas.explained.shortening import LONGEST, shortened
from pytrace_cas.recorded.places import Places
from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.keys.messages import make_command

PLACES = Places(b"/r", b"/home/u", b"/tmp")
OLD, NEW = b"a" * 64 + b"/1", b"b" * 64 + b"/2"
FILE = b"/r/f"


def _told(
    stored: dict[Subject, bytes], today: dict[Subject, bytes], produced: tuple[bytes, ...] = ()
) -> list[dict[str, object]]:
    comparison = Comparison(stored, lambda subject: today.get(subject, stored[subject]), PLACES)
    return in_order(comparison.reasons(produced, lambda path: NEW.decode()))


@pytest.mark.parametrize(
    ("subject", "old", "new", "code"),
    [
        (Subject("content", "", FILE), OLD, NEW, "inputs_changed"),
        (Subject("content", "", FILE), OLD, b"ENOENT", "input_removed"),
        (Subject("status", "", FILE), b"file 0644 " + OLD, b"file 0755 " + OLD, "inputs_changed"),
        (Subject("error", "", FILE), b"ENOENT", b"file", "new_file"),
        (Subject("error", "", FILE), b"ENOTDIR", b"file", "new_file"),
        (Subject("change", "l", FILE), b"ENOENT", b"dir", "new_file"),
        (Subject("listing", "", FILE), OLD, NEW, "listing_changed"),
        (Subject("link", "", FILE), b"-> a", b"-> b", "link_changed"),
        (Subject("target", "0644", FILE), b"plain", b"symlink 61", "output_differs"),
        (Subject("attribute", "fuser.x", FILE), b"= 61", b"ENODATA", "attribute_changed"),
        (Subject("order", "", FILE, b"/r/g"), b"order 1", b"order 2", "order_changed"),
        (Subject("variable", "TERM"), b"= a", b"unset", "environment_changed"),
        (Subject("identity", "root"), b"/r", b"/q", "belongs_to_checkout"),
        (Subject("stream", "stdin"), b"sha256:1", b"sha256:2", "stream_changed"),
        (Subject("fact", "cpus"), b"1", b"2", "machine_changed"),
        (Subject("fact", "", b"/proc/cpuinfo"), OLD, NEW, "machine_changed"),
        (Subject("fact", "option portable"), b"yes", b"no", "options_changed"),
    ],
)
def test_one_difference(subject: Subject, old: bytes, new: bytes, code: str) -> None:
    (told,) = _told({subject: old}, {subject: new})
    assert told["code"] == code
    assert told["message"].startswith(SENTENCES[code])  # type: ignore[attr-defined]


def test_what_is_equal_is_not_told() -> None:
    assert _told({Subject("content", "", FILE): OLD}, {}) == []


def test_one_path_is_told_once_a_meaning() -> None:
    stored = {Subject("status", "", FILE): b"file 0644 " + OLD, Subject("content", "", FILE): OLD}
    (told,) = _told(stored, {Subject("status", "", FILE): b"file 0644 " + NEW, Subject("content", "", FILE): NEW})
    assert (told["path"], told["old"], told["new"]) == ("/r/f", OLD.decode(), NEW.decode())


def test_a_new_file_is_told_with_its_digest_and_once() -> None:
    stored = {Subject("error", "", FILE): b"ENOENT", Subject("link", "", FILE): b"ENOENT"}
    (told,) = _told(stored, {Subject("error", "", FILE): b"file", Subject("link", "", FILE): b"EINVAL"})
    assert (told["code"], told["old"], told["new"]) == ("new_file", "absent", NEW.decode())


def test_a_program_that_was_executed_is_a_tool() -> None:
    stored = {Subject("access", "1", FILE): b"file granted", Subject("content", "", FILE): OLD}
    (told,) = _told(stored, {Subject("content", "", FILE): NEW})
    assert told["code"] == "tool_changed"


def test_a_path_that_the_run_made_is_an_output() -> None:
    subject = Subject("error", "", FILE)
    (told,) = _told({subject: b"ENOENT"}, {subject: b"file"}, produced=(FILE,))
    assert told["code"] == "output_differs"


def test_of_a_status_only_what_differs_is_told() -> None:
    subject = Subject("status", "", FILE)
    (told,) = _told({subject: b"file 0644 " + OLD}, {subject: b"file 0755 " + OLD})
    assert (told["old"], told["new"]) == ("0644", "0755")
    (told,) = _told({subject: b"symlink 61"}, {subject: b"dir 0755"})
    assert (told["old"], told["new"]) == ("-> a", "dir 0755")


def test_commands() -> None:
    old = make_command((b"cc", b"/r/a b"), {b"A": b"/r/x", b"GONE": b"1"}, PLACES, b"/r", 0o22, 0)
    new = make_command((b"cc", b"-O", b"/r/a b"), {b"A": b"/tmp/x", b"B": b"2"}, PLACES, b"/r/sub", 0o27, 3)
    found = [(r["code"], r.get("name"), r["old"], r["new"]) for r in command_differences(old, new, PLACES)]
    assert found == [
        ("arguments_changed", None, "cc '/r/a b'", "cc -O '/r/a b'"),
        ("environment_changed", "A", "<root>/x", "/tmp/x"),
        ("environment_changed", "B", None, "2"),
        ("environment_changed", "GONE", "1", None),
        ("directory_changed", None, "%R", "%R/sub"),
        ("umask_changed", None, "0022", "0027"),
    ]
    assert list(command_differences(old, old, PLACES)) == []


def test_a_place_that_only_the_stored_command_names_is_not_taken_for_today_s() -> None:
    """Stored in /first as %R/x; today, in another checkout, the variable says /first/x, as it did then."""
    first, here = Places(b"/first"), Places(b"/second")
    old = make_command((b"cc", b"/first/a", b"/first/b"), {b"A": b"/first/x"}, first, b"/first", 0o22, 0)
    new = make_command((b"cc", b"/second/a", b"/first/b"), {b"A": b"/first/x"}, here, b"/second", 0o22, 0)
    found = [(r["code"], r["old"], r["new"]) for r in command_differences(old, new, here)]
    assert found == [
        ("arguments_changed", "cc /second/a /second/b", "cc /second/a /first/b"),
        ("environment_changed", "<root>/x", "/first/x"),
    ]


def test_a_message_shows_of_long_values_where_they_differ() -> None:
    old, new = "a" * 100_000 + " x" + "b" * 300, "a" * 100_000 + " y"
    told = reason("arguments_changed", None, old, new)
    message = str(told["message"])
    assert len(message) < 500
    assert (" x" in message, " y" in message, message.count("...")) == (True, True, 3)
    assert (told["old"], told["new"]) == (old, new)
    assert "a" * LONGEST in str(reason("environment_changed", None, "a" * LONGEST, None)["message"])


@pytest.mark.parametrize("other", ["", "a", "a" * 500, "a" * 300 + "c", "z"])
def test_what_is_shortened_says_so(other: str) -> None:
    text = "a" * 300 + "b" * 300
    found = shortened(text, other)
    assert found.strip(".") in text
    assert len(found.strip(".")) == LONGEST
    assert found.startswith("...") == (text[:LONGEST] != found[:LONGEST])
    assert found.endswith("...") == (text[-LONGEST:] != found[-LONGEST:])
    assert shortened(text[:LONGEST], other) == text[:LONGEST]


def test_a_message_keeps_to_its_line() -> None:
    assert "\n" not in str(reason("environment_changed", None, "a\nb", "c", name="X")["message"])

# SPDX-License-Identifier: Apache-2.0
"""Equal inputs with other outputs: what is noted, and what is not."""

from __future__ import annotations

from pytrace_cas.digest import BLAKE3, SHA256, Digest
from pytrace_cas.nondeterminism import known_of, nondeterministic
from pytrace_cas.reapi import (
    ActionResult,
    ExecutedActionMetadata,
    OutputFile,
    OutputSymlink,
    Timestamp,
    without_times,
)
from pytrace_cas.store import Store

ACTION = BLAKE3.of(b"an action")


def _put(
    store: Store, *files: tuple[str, bytes], action: Digest = ACTION, instance: str = "", **fields: object
) -> None:
    outputs = [OutputFile(path=path, digest=store.put(BLAKE3, data)) for path, data in files]
    message = ActionResult(output_files=outputs, **fields)  # type: ignore[arg-type]
    store.put_action_result(BLAKE3, instance, action, message.encode(), message.needs())


def test_both_digests_of_what_differs_are_kept(store: Store) -> None:
    _put(store, ("a", b"1"), ("same", b"s"))
    assert list(nondeterministic(store)) == []
    _put(store, ("a", b"2"), ("same", b"s"))
    _put(store, ("a", b"2"), ("same", b"s"))  # the same again is no news
    (found,) = nondeterministic(store)
    assert (found.action, found.function, found.instance, found.times) == (ACTION, BLAKE3, "", 2)
    assert found.outputs == {"a": [str(BLAKE3.of(b"1")), str(BLAKE3.of(b"2"))]}
    _put(store, ("same", b"s"), stdout_raw=b"x", exit_code=3)
    (found,) = nondeterministic(store)
    assert found.outputs["a"] == [str(BLAKE3.of(b"1")), str(BLAKE3.of(b"2")), None]
    assert found.outputs["<exit status>"] == ["0", "3"]
    assert found.outputs["<stdout>"] == [str(BLAKE3.of(b"")), str(BLAKE3.of(b"x"))]
    assert known_of(store, BLAKE3, "", ACTION) is not None
    assert known_of(store, BLAKE3, "other", ACTION) is None


def test_the_form_of_a_message_is_no_output(store: Store) -> None:
    digest = store.put(BLAKE3, b"out")
    _put(store, stdout_raw=b"out")
    _put(store, stdout_digest=digest)
    _put(store, (".pytrace/effects", b"in another order"), stdout_digest=digest)
    assert list(nondeterministic(store)) == []


def test_links_and_modes_are_outputs(store: Store) -> None:
    _put(store, output_symlinks=[OutputSymlink(path="l", target="a")])
    _put(store, output_symlinks=[OutputSymlink(path="l", target="b")])
    (found,) = nondeterministic(store)
    assert found.outputs == {"l": ["-> a", "-> b"]}


def test_what_is_to_change_is_no_news(store: Store) -> None:
    for data in (b"1", b"2"):
        _put(store, (f"sets/{data.hex()}", data), ("index", data))
        _put(store, ("record", data), instance="actions/webdav")
    assert list(nondeterministic(store)) == []


def test_of_compiled_python_the_stamp_does_not_count(store: Store) -> None:
    magic = b"\xa7\r\r\n"
    _put(store, ("x.pyc", magic + bytes(4) + b"stamp  1" + b"code"))
    _put(store, ("x.pyc", magic + bytes(4) + b"stamp  2" + b"code"))
    assert list(nondeterministic(store)) == []
    _put(store, ("x.pyc", magic + bytes(4) + b"stamp  2" + b"edoc"))
    assert [list(found.outputs) for found in nondeterministic(store)] == [["x.pyc"]]


def test_who_needs_a_blob(store: Store) -> None:
    shared = store.put(BLAKE3, b"shared")
    actions = [BLAKE3.of(b"%d" % number) for number in range(3)]
    for action in actions:
        _put(store, ("a", b"shared"), action=action)
    _put(store, ("a", b"shared"), action=actions[0], instance="other")
    assert [row.digest for row in store.results_needing(BLAKE3, "", shared)] == actions[::-1]
    assert [row.digest for row in store.results_needing(BLAKE3, "", shared, 1)] == actions[2:]
    assert store.results_needing(SHA256, "", shared) == []
    assert store.needs_of(BLAKE3, "", actions[0]) == [shared]


def test_when_a_result_was_made_is_no_news_and_takes_nobodys_place(store: Store) -> None:
    for second, data in enumerate((b"1", b"2", *[b"2"] * 6)):
        began, ended = Timestamp(seconds=second + 1), Timestamp(seconds=second + 3, nanos=5)
        ran = ExecutedActionMetadata(execution_start_timestamp=began, execution_completed_timestamp=ended)
        _put(store, ("a", data), execution_metadata=ran.encode())
    (found,) = nondeterministic(store)
    assert found.outputs == {"a": [str(BLAKE3.of(b"1")), str(BLAKE3.of(b"2"))]}
    assert len(store.replaced_results(BLAKE3, "", ACTION)) == 1


def test_bytes_that_are_no_result_are_left_as_they_are() -> None:
    for data in (b"", b"\x4a", b"\x4a\x05ab", b"\x09abc", b"\x80"):
        assert without_times(data) == (data if data != b"\x4a\x05ab" else b"")
    assert without_times(b"\x20\x03\x4a\x02\x3a\x00\x20\x04") == b"\x20\x03\x20\x04"

# SPDX-License-Identifier: Apache-2.0
"""What pages tell of actions that are made to be large, or differ only in what is not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.store import Store
from pytrace_cas.web.actions import describe_action
from pytrace_cas.web.addresses import BlobAddress
from pytrace_cas.web.comparing import MOST_ROWS, compare
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support.actions import named, put, put_action


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.open(str(tmp_path / "store"))


def test_secrets_that_differ_are_said_to(store: Store) -> None:
    first, second = (
        BlobAddress("", SHA256, put_action(store, ["x"], environment={"API_TOKEN": token, "Y_TOKEN": "same"}))
        for token in ("one", "two")
    )
    found = compare(store, first, second)
    assert not found["same"]
    assert found["parts"]["environment"] == [{"letter": "M", "name": "API_TOKEN", "old": "(hidden)", "new": "(hidden)"}]
    assert compare(store, first, first)["same"]


def test_very_long_commands_are_compared_place_by_place(store: Store) -> None:
    first, second = (
        BlobAddress("", SHA256, put_action(store, ["same"] * 30_000 + last)) for last in (["a"], ["b", "c"])
    )
    rows = compare(store, first, second)["parts"]["arguments"]
    assert [(row["letter"], row["old"], row["new"]) for row in rows] == [("M", "a", "b"), ("+", None, "c")]


def test_very_many_inputs_are_not_all_looked_for(store: Store) -> None:
    first, second = (
        BlobAddress("", SHA256, put_action(store, ["x"], inputs={f"{name}{n}": b"" for n in range(MOST_ROWS)}))
        for name in "ab"
    )
    found = compare(store, first, second)
    assert (len(found["parts"]["inputs"]), found["left_out"]) == (MOST_ROWS, MOST_ROWS)


def test_a_key_whose_folders_name_one_another_is_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytrace_cas.web.actions._MOST_OF_KEY", 100_000)
    folder = put(store, reapi.Directory(files=[reapi.FileNode(name="f", digest=named(SHA256.of(b"f")))]))
    for _ in range(60):
        both = [reapi.DirectoryNode(name=name, digest=named(folder)) for name in ("a", "b")]
        folder = put(store, reapi.Directory(directories=both))
    root = put(store, reapi.Directory(directories=[reapi.DirectoryNode(name="abs", digest=named(folder))]))
    command = put(store, reapi.Command(arguments=["x"]))
    action = put(store, reapi.Action(command_digest=named(command), input_root_digest=named(root)))
    effects = put(store, Effects().encode())
    result = reapi.ActionResult(output_files=[reapi.OutputFile(path=EFFECTS_PATH, digest=named(effects))])
    store.put_action_result(SHA256, "", action, result.SerializeToString(), [effects])
    assert "too large" in describe_action(store, BlobAddress("", SHA256, action))["unreadable"]


@pytest.mark.parametrize("text", ["", "/0", "abc/3", "0" * 64 + "/0", "0" * 40 + "/1"], ids=range(5))
def test_digests_in_messages_may_be_none(text: str) -> None:
    with pytest.raises(InvalidRequest):
        BlobAddress("", SHA256, SHA256.of(b"x")).of(text)

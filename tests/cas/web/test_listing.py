# SPDX-License-Identifier: Apache-2.0
"""The list of actions: searched by each field, paged without gaps or repeats."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.store import Store
from tests.support.actions import put_action
from tests.support.pages import Parsed, ask
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cas.web.conftest import Shown
    from tests.support.server import RunningServer

COUNT = 130


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("many") / "store"
    with Store.open(str(folder)) as store:
        for number in range(COUNT):
            put_action(store, ["tool", str(number)], outputs={f"out/{number}": b"x" * (number + 1)})
    with running_server(folder) as server:
        yield server


BAD = (
    *("sort=odd", "sort=", "limit=", "limit=0", "limit=x", "cursor=odd", f"cursor={'9' * 19}.1", "outcome=odd", "a=1"),
    *("filter=age%3C1y", f"filter=age%3C{'9' * 900}d", f"filter=age%3C{'9' * 20}d", f"filter={'a+' * 400}"),
)


def commands(server: RunningServer, query: str) -> list[str]:
    found = json.loads(ask(server.http_url, f"/api/v1/actions?{query}").body)
    return [row["command"] for row in found["actions"]]


@pytest.mark.parametrize("sort", ["time", "size", "hits"])
def test_pages_of_the_api_have_no_gaps(many: RunningServer, sort: str) -> None:
    seen, cursor = [], ""
    while True:
        path = f"/api/v1/actions?limit=40&sort={sort}" + (f"&cursor={cursor}" if cursor else "")
        found = json.loads(ask(many.http_url, path).body)
        seen += [row["command"] for row in found["actions"]]
        if found["cursor"] is None:
            break
        cursor = found["cursor"]
    assert sorted(seen) == sorted(f"tool {number}" for number in range(COUNT))
    if sort != "hits":
        assert seen == [f"tool {number}" for number in reversed(range(COUNT))]


def test_pages_of_the_list_have_no_gaps(many: RunningServer) -> None:
    path, rows = "/ui/actions/", 0
    for _ in range(10):
        parsed = Parsed(ask(many.http_url, path).text)
        rows += sum(1 for link in parsed.links if "/blobs/" in link)
        following = [link for link in parsed.links if "cursor=" in link]
        if not following:
            break
        path = following[-1]
    assert rows == COUNT


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("command=gcc", 2),
        ("command=gcc*O2", 1),
        ("outcome=failed", 1),
        ("outcome=ok", 2),
        ("instance=team/x", 1),
        ("instance=team/*", 1),
        ("path=main.o", 2),
        ("path=src/", 2),
        ("path=src/lib/new.h", 1),
        ("filter=writes=main.o+outcome=ok", 1),
        ("target=//nothing", 0),
        ("mnemonic=Nothing", 0),
        ("label=name=value", 0),
    ],
)
def test_search_by_each_field(shown: Shown, query: str, found: int) -> None:
    assert len(commands(shown.server, query)) == found
    page = ask(shown.server.http_url, f"/ui/actions/?{query}")
    assert sum(1 for link in Parsed(page.text).links if "/action/" in link) == found


def test_paths_are_searched_alone(shown: Shown) -> None:
    answer = ask(shown.server.http_url, "/api/v1/paths?path=main.o")
    assert len(json.loads(answer.body)["actions"]) == 2
    assert ask(shown.server.http_url, "/api/v1/paths").status == 400


@pytest.mark.parametrize("query", BAD)
def test_bad_fields_are_said(shown: Shown, query: str) -> None:
    answer = ask(shown.server.http_url, f"/api/v1/actions?{query}")
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")


def test_statistics_are_told(shown: Shown) -> None:
    found = json.loads(ask(shown.server.http_url, "/api/v1/statistics?hours=24").body)
    assert found["size_bytes"] <= found["size_limit_bytes"]
    assert set(found["runs"]) == {"hit", "miss", "not_stored", "bypass", "error"}

# SPDX-License-Identifier: Apache-2.0
"""Pages over HTTP: each is there, leads only where something is, and does nothing that a stored byte asks for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.web.diff_page import address_of
from tests.support.actions import SCRIPT
from tests.support.pages import Parsed, ask

if TYPE_CHECKING:
    from pytrace_cas.web.addresses import BlobAddress
    from tests.cas.web.conftest import Shown


# What forms lead to, with fields.
FORMS = ("/ui/diff/", "/ui/invalidate/", "/ui/undo/")


def api_action(shown: Shown, address: BlobAddress) -> dict[str, object]:
    """What the API says of an action."""
    path = f"/api/v1/actions/sha256/{address.short()}?instance={address.instance}"
    found: dict[str, object] = json.loads(ask(shown.server.http_url, path).body)
    return found


def pages(shown: Shown) -> list[str]:
    """A page of each kind."""
    action = api_action(shown, shown.old)
    root, command = (shown.old.of(str(action[name])) for name in ("input_root_digest", "command_digest"))
    stdout = shown.old.of(str(action["result"]["stdout"]))  # type: ignore[index]
    return [
        "/ui/",
        "/ui/actions/",
        "/ui/actions/?command=gcc&outcome=failed&sort=size",
        "/ui/invalidations/",
        "/ui/invalidate/?target=//a/...",
        shown.old.page("action"),
        shown.new.page("action"),
        shown.hostile.page("action"),
        address_of(shown.old, shown.new),
        root.page("directory"),
        command.page("command"),
        stdout.page("file", name="stdout"),
    ]


def test_everything_a_page_leads_to_is_there(shown: Shown) -> None:
    seen: set[str] = set()
    queue = pages(shown)
    while queue and len(seen) < 100:
        path = queue.pop()
        seen.add(path)
        answer = ask(shown.server.http_url, path)
        assert answer.status == 200, path
        if answer.headers.get_content_type() != "text/html":
            continue
        parsed = Parsed(answer.text)
        assert [link for link in parsed.links if not link.startswith(("/", "#"))] == []
        queue += [link for link in parsed.links if link.startswith("/") and link not in seen and link not in FORMS]


def test_no_page_runs_or_loads_anything_of_others(shown: Shown) -> None:
    for path in pages(shown):
        answer = ask(shown.server.http_url, path)
        parsed = Parsed(answer.text)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert parsed.tags.count("script") == 1
        assert "style" not in parsed.tags
        assert [name for _, name, _ in parsed.attributes if name.startswith("on") or name == "style"] == []
        assert "\x1b" not in answer.text
        assert "\u202e" not in answer.text


def test_hostile_names_and_contents_are_text(shown: Shown) -> None:
    answer = ask(shown.server.http_url, shown.hostile.page("action"))
    assert SCRIPT not in answer.text
    assert SCRIPT in Parsed(answer.text).text
    # Of ten million bytes in one line, twice, only the beginning is there.
    assert len(answer.body) < 100_000


def test_outputs_are_shown_as_far_as_they_go(shown: Shown) -> None:
    text = Parsed(ask(shown.server.http_url, shown.old.page("action")).text).text
    assert "What main.o begins with" in text
    assert "7f 45 4c 46 00 01 02" in text


def test_a_blob_is_saved_and_never_shown(shown: Shown) -> None:
    result = api_action(shown, shown.hostile)["result"]
    output = shown.hostile.of(result["outputs"][0]["digest"])  # type: ignore[index]
    for path in (output.page("download", name="../../etc/a b.html\r\nx: y"), output.api()):
        answer = ask(shown.server.http_url, path)
        assert SCRIPT.encode() in answer.body
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
        assert "/" not in answer.headers["content-disposition"]
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_secrets_of_the_environment_are_hidden(shown: Shown) -> None:
    text = Parsed(ask(shown.server.http_url, shown.old.page("action")).text).text
    assert "API_TOKEN" in text
    assert "very secret" not in text
    assert "very secret" not in json.dumps(api_action(shown, shown.old))


def test_differences_are_named(shown: Shown) -> None:
    path = f"/api/v1/diff?a={shown.old.short()}&b={shown.new.short()}"
    found = json.loads(ask(shown.server.http_url, path).body)
    parts = {name: {(row["letter"], row["name"]) for row in rows} for name, rows in found["parts"].items()}
    assert parts["arguments"] == {("M", "argument 5")}
    assert parts["environment"] == {("-", "API_TOKEN"), ("M", "PATH")}
    assert parts["inputs"] == {("M", "src/main.c"), ("-", "src/lib/old.h"), ("+", "src/lib/new.h")}
    assert parts["outputs"] == {("M", "main.o")}
    assert parts["result"] == {("M", "exit_code"), ("-", "stdout"), ("-", "stderr")}
    reasons = {(one["code"], one.get("name") or one["path"]): one for one in found["reasons"]}
    assert set(reasons) == {
        ("arguments_changed", None),
        ("environment_changed", "API_TOKEN"),
        ("environment_changed", "PATH"),
        ("inputs_changed", "src/main.c"),
        ("inputs_changed", "src/lib/new.h"),
        ("input_removed", "src/lib/old.h"),
    }
    assert "+int main() { return 1; }" in reasons["inputs_changed", "src/main.c"]["diff"]
    assert "very secret" not in json.dumps(found)
    page = ask(shown.server.http_url, f"/ui/diff/?a={shown.old.digest.hash[:12]}&b={shown.new.digest.hash[:12]}")
    text = Parsed(page.text).text
    assert all(one["message"] in text for one in found["reasons"])
    same = json.loads(ask(shown.server.http_url, f"/api/v1/diff?a={shown.old.short()}&b={shown.old.short()}").body)
    assert same["same"]
    assert not any(same["parts"].values())
    assert same["reasons"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/ui/blobs/sha256/action/{'0' * 64}-5/", 404),
        (f"/ui/blobs/sha256/nonsense/{'0' * 64}-5/", 404),
        (f"/ui/blobs/sha1/action/{'0' * 64}-5/", 400),
        ("/ui/blobs/sha256/action/zzz/", 400),
        (f"/ui/blobs/sha256/action/{'0' * 64}-{'9' * 5000}/", 400),
        ("/ui/diff/", 400),
        ("/ui/static/nothing.js", 404),
    ],
)
def test_what_is_not_there_is_said_in_a_page(shown: Shown, path: str, status: int) -> None:
    answer = ask(shown.server.http_url, path)
    assert answer.status == status
    assert answer.headers.get_content_type() == "text/html"
    assert str(status) in Parsed(answer.text).text


def test_a_blob_of_another_kind_is_said_to_be_none(shown: Shown) -> None:
    result = api_action(shown, shown.old)["result"]
    stderr = shown.old.of(result["stderr"])  # type: ignore[index]
    assert ask(shown.server.http_url, stderr.page("directory")).status == 400
    assert ask(shown.server.http_url, stderr.page("tree")).status == 400


def test_methods_that_an_address_does_not_take(shown: Shown) -> None:
    for path in ("/ui/", "/api/v1/openapi.json"):
        answer = ask(shown.server.http_url, path, method="DELETE")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert ask(shown.server.http_url, path, method="HEAD").body == b""


def test_instances_may_be_called_as_pages_are(shown: Shown) -> None:
    digest = SHA256.of(b"blob")
    for instance in ("ui", "api/v1"):
        assert ask(shown.server.http_url, f"/{instance}/cas/{digest.hash}").status == 404
        assert "no blob" in ask(shown.server.http_url, f"/{instance}/cas/{digest.hash}").text


def test_static_files_are_kept_by_browsers(shown: Shown) -> None:
    first = ask(shown.server.http_url, "/ui/static/style.css")
    again = ask(shown.server.http_url, "/ui/static/style.css", headers={"if-none-match": first.headers["etag"]})
    assert (first.status, again.status, again.body) == (200, 304, b"")


def test_requests_are_counted(shown: Shown) -> None:
    ask(shown.server.http_url, "/ui/")
    metrics = ask(shown.server.http_url, "/metrics").text
    assert 'pytrace_cas_requests_total{kind="page",method="get",status="hit"}' in metrics


def test_an_unknown_digest_is_missing(shown: Shown) -> None:
    absent = shown.old.other(Digest("0" * 64, 5))
    answer = ask(shown.server.http_url, f"/api/v1/actions/sha256/{absent.short()}")
    assert (answer.status, json.loads(answer.body)["code"]) == (404, "not_found")

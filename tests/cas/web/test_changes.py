# SPDX-License-Identifier: Apache-2.0
"""What can be changed from a page, by whom, and from which pages: with several workers, passwords and TLS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store, events
from tests.cas.web.conftest import fill
from tests.support.credentials import Authority, basic, htpasswd, rights
from tests.support.pages import Answer, Parsed, ask
from tests.support.server import running_server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from pytrace_cas.web.addresses import BlobAddress
    from tests.cas.web.conftest import Shown
    from tests.support.server import RunningServer

PYTRACE_EXEC = Path(sys.executable).with_name("pytrace-exec")


class Visitor:
    """A browser as far as forms need one: it keeps cookies."""

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, context: ssl.SSLContext | None = None
    ) -> None:
        self.url = url
        self.headers = dict(headers or {})
        self.context = context

    def get(self, path: str) -> Answer:
        """Open a page."""
        answer = ask(self.url, path, headers=self.headers, context=self.context)
        if "set-cookie" in answer.headers:
            self.headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
        return answer

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> Answer:
        """Send a form."""
        return ask(self.url, path, form=form, headers={**self.headers, **headers}, context=self.context)

    def invalidations(self, instance: str = "") -> list[dict[str, object]]:
        """What was invalidated."""
        found: list[dict[str, object]] = json.loads(self.get(f"/api/v1/invalidations?instance={instance}").body)[
            "invalidations"
        ]
        return found


def filled(visitor: Visitor, path: str) -> dict[str, str]:
    """The fields of the form of a page."""
    answer = visitor.get(path)
    assert answer.status == 200, answer.text
    return Parsed(answer.text).inputs


def test_a_run_misses_once_after_an_invalidation(tmp_path: Path) -> None:
    store, project = tmp_path / "store", tmp_path / "project"
    project.mkdir()
    (project / "in.txt").write_text("in\n")

    def run(*command: str, explain: bool = True) -> str:
        options = ("--dir", str(store), *(("--explain",) if explain else ()), "--root", str(project))
        done = subprocess.run(
            (PYTRACE_EXEC, *options, "--", *command), cwd=project, capture_output=True, text=True, check=True
        )
        return done.stderr.partition(" ")[2].partition(" ")[0]

    assert (run("cat", "in.txt"), run("wc", "in.txt")) == ("miss", "miss")
    assert (run("cat", "in.txt"), run("wc", "in.txt")) == ("hit", "hit")
    with running_server(store) as server:
        visitor = Visitor(server.http_url)
        (row,) = json.loads(visitor.get("/api/v1/actions?command=wc").body)["actions"]
        form = filled(visitor, f"/ui/invalidate/?action={row['action']}&reason=too+old")
        assert visitor.post("/ui/invalidate/", form).status == 303
        assert (run("cat", "in.txt"), run("wc", "in.txt")) == ("hit", "miss")
        assert (run("cat", "in.txt"), run("wc", "in.txt")) == ("hit", "hit")
        (one,) = visitor.invalidations()
        assert (one["reason"], one["scope"], one["undone"]) == ("too old", {"action": row["action"]}, None)
        assert visitor.post("/ui/undo/", filled(visitor, f"/ui/undo/?id={one['id']}")).status == 303
        assert visitor.invalidations()[0]["undone"]
        page = visitor.get(f"/ui/blobs/{row['digest_function']}/action/{row['action'].replace('/', '-')}/")
        assert "in.txt" in Parsed(page.text).text
        assert "Execution" in Parsed(page.text).text  # how long it took
        assert visitor.get("/ui/invalidate/?root=relative").status == 400
        for root, outcome in ((tmp_path / "elsewhere", "hit"), (project, "miss")):
            assert visitor.post("/ui/invalidate/", filled(visitor, f"/ui/invalidate/?root={root}/")).status == 303
            assert (run("cat", "in.txt"), run("wc", "in.txt")) == (outcome, outcome)
        (project / "in.txt").write_text("other\n")
        assert run("wc", "in.txt", explain=False) == ""
        latest = json.loads(visitor.get("/api/v1/actions?command=wc").body)["actions"][0]["action"]
        page = visitor.get(f"/ui/blobs/{row['digest_function']}/action/{latest.replace('/', '-')}/")
        assert "input changed: in.txt" in Parsed(page.text).text  # though the run itself noted no reason
        assert {"root": str(project)} in [one["scope"] for one in visitor.invalidations()]


def test_forms_of_others_are_refused(shown: Shown) -> None:
    visitor = Visitor(shown.server.http_url)
    form = filled(visitor, "/ui/invalidate/?command=nothing")
    host = shown.server.http_url.removeprefix("http://")
    for answer in (
        visitor.post("/ui/invalidate/", {**form, "token": ""}),
        visitor.post("/ui/invalidate/", {**form, "token": "x" * 43}),
        visitor.post("/ui/invalidate/", form, cookie=""),
        visitor.post("/ui/invalidate/", form, origin="http://elsewhere.example"),
        visitor.post("/ui/invalidate/", form, origin="null"),
        visitor.post("/ui/invalidate/", form, origin="http://[elsewhere"),
        visitor.post("/ui/invalidate/", form, **{"sec-fetch-site": "cross-site"}),
        visitor.post("/ui/invalidate/", form, **{"sec-fetch-site": "same-site"}),
    ):
        assert answer.status == 403
    assert visitor.invalidations() == []
    good = visitor.post("/ui/invalidate/", form, origin=f"http://{host}", **{"sec-fetch-site": "same-origin"})
    assert good.status == 303
    assert [one["scope"] for one in visitor.invalidations()] == [{"command": "nothing"}]


def test_forms_that_say_nothing_or_too_much(shown: Shown) -> None:
    visitor = Visitor(shown.server.http_url)
    assert visitor.get("/ui/invalidate/").status == 400
    form = filled(visitor, "/ui/invalidate/?everything=yes")
    assert visitor.post("/ui/invalidate/", {**form, "everything": ""}).status == 400
    assert visitor.post("/ui/invalidate/", {**form, "reason": "x" * 3000}).status == 400
    assert visitor.post("/ui/invalidate/", {**form, "reason": "x" * 100_000}).status == 400
    assert visitor.post("/ui/undo/", {**form, "id": "nothing"}).status == 404


def test_a_result_of_another_client_is_removed(shown: Shown) -> None:
    visitor = Visitor(shown.server.http_url)
    address = shown.hostile
    page = visitor.get(address.page("action"))
    assert address.page("drop") in Parsed(page.text).links
    assert visitor.post(address.page("drop"), {"token": "x" * 43}).status == 403
    form = filled(visitor, address.page("drop"))
    assert visitor.post(address.page("drop"), form).headers["location"] == address.page("action")
    told = json.loads(visitor.get(f"/api/v1/actions/sha256/{address.short()}?instance=team/x").body)
    assert told["result"] is None
    assert "misses" in Parsed(visitor.get(address.page("action")).text).text


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Authority, BlobAddress]]:
    """Serve with TLS, passwords and rights, by two workers."""
    folder = tmp_path_factory.mktemp("guarded")
    old, _, _ = fill(folder / "store")
    with Store.open(str(folder / "store")) as store:
        reasons = json.dumps([{"code": "input_changed", "message": "secret-plan.txt changed"}])
        missed = events.run("miss", SHA256, "", None, None, "cc", reasons)
        store.record(["runs_miss", "reason_input_changed"], [missed])
    authority = Authority(folder)
    (folder / "passwords").write_text(htpasswd(reader="r", writer="w", stranger="s"))
    granted = rights(("reader", "*", ["read"]), ("writer", "*", ["read", "ac"]), ("stranger", "team/x", ["read"]))
    (folder / "rights.toml").write_text(granted)
    options = ("--htpasswd-file", str(folder / "passwords"), "--rights-file", str(folder / "rights.toml"))
    tls = authority.tls_options(clients=False)
    with running_server(folder / "store", *options, *tls, "--workers", "2") as server:
        yield server, authority, old


def test_only_those_may_who_have_the_rights(guarded: tuple[RunningServer, Authority, BlobAddress]) -> None:
    server, authority, old = guarded

    def visitor(name: str) -> Visitor:
        headers = {"authorization": basic(name, name[0])} if name else {}
        return Visitor(server.http_url, headers, authority.context())

    nobody = visitor("")
    for path in ("/ui/", old.page("action"), "/api/v1/actions", "/ui/invalidate/?command=x"):
        answer = nobody.get(path)
        assert (answer.status, "Basic" in answer.headers["www-authenticate"]) == (401, True)
    assert nobody.get("/ui/static/style.css").status == 200

    reader = visitor("reader")
    page = reader.get(old.page("action"))
    assert page.status == 200
    assert old.page("drop") not in Parsed(page.text).links
    assert reader.get("/ui/invalidate/?command=x").status == 403
    assert reader.get(old.page("drop")).status == 403
    assert reader.post("/ui/invalidate/", {"command": "x"}).status == 403

    stranger = visitor("stranger")
    assert stranger.get(old.page("action")).status == 403
    listed = json.loads(stranger.get("/api/v1/actions").body)["actions"]
    assert {row["instance"] for row in listed} == {"team/x"}
    assert "secret-plan.txt" in reader.get("/ui/").text
    overview = stranger.get("/ui/").text
    assert "gcc" not in overview
    assert "secret-plan.txt" not in overview

    writer = visitor("writer")
    form = filled(writer, "/ui/invalidate/?command=by-writer")
    assert writer.headers["cookie"].startswith("__Host-")
    # Each request is a new connection, and lands at either worker.
    assert {writer.post("/ui/invalidate/", form).status for _ in range(4)} == {303}
    found = writer.invalidations()
    assert {(str(one["by"]), str(one["scope"])) for one in found} == {("writer", "{'command': 'by-writer'}")}


def test_a_server_that_only_reads_changes_nothing(tmp_path: Path) -> None:
    old, _, _ = fill(tmp_path / "store")
    with running_server(tmp_path / "store", "--read-only") as server:
        visitor = Visitor(server.http_url)
        assert "gcc" in visitor.get("/ui/actions/").text
        assert "Remove this" not in visitor.get(old.page("action")).text
        assert visitor.get("/ui/invalidate/?command=x").status == 403
        assert visitor.get(old.page("drop")).status == 403

# SPDX-License-Identifier: Apache-2.0
"""`pytrace show`, `explain` and `stats` with `--remote`: results that only the remote has."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from pytrace_cas.recorded.effects import HEADER
from tests.exec.cli.project import Ended, Project, codes
from tests.support.foreign_http import ForeignHttp, foreign_http
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.strace

SCRIPT = "[ -s made ] || echo made > made; cat in > out; echo said"
COMMAND = ("sh", "-c", SCRIPT)


@attrs.frozen
class Shared:
    """A result that a remote has and another store made: its action, its weak key, and the remote's URL."""

    project: Project
    url: str
    action: str
    weak: str

    def ask(self, *arguments: str, store: str = "empty", **variables: str) -> Ended:
        """Run `pytrace` with the remote and a store that has not the result."""
        names = {"PYTRACE_DIR": str(self.project.base / store), "PYTRACE_REMOTE": self.url, **variables}
        return self.project.pytrace(*arguments, **names)


def share(project: Project, url: str, *options: str) -> Shared:
    """Run a command, whose result goes to a remote."""
    project.write(**{"in": "content\n"})
    assert project.wrapped(*COMMAND, options=("--remote", url, *options)).status == 0
    last = project.last()
    assert (last["outcome"], codes(last)) == ("miss", ["never_seen"])
    (project.root / "made").unlink()
    return Shared(project, url, last["action"], last["weak"])


@pytest.fixture
def server(project: Project) -> Iterator[RunningServer]:
    """A server of ours."""
    with running_server(project.base / "server") as running:
        yield running


@pytest.fixture(params=["grpc", "http"])
def shared(project: Project, server: RunningServer, request: pytest.FixtureRequest) -> Shared:
    """A result in that server."""
    return share(project, server.grpc_url if request.param == "grpc" else server.http_url)


def test_show_tells_of_a_remotes_what_it_tells_of_the_stores(shared: Shared) -> None:
    local = shared.project.pytrace("show", shared.action, "--json").json
    for reference in (shared.action, shared.action.replace("/", "-"), shared.weak):
        done = shared.ask("show", reference, "--json")
        assert (done.status, done.json) == (0, local), reference
    script = shared.ask("show", shared.action, "--format", "sh").stdout
    subprocess.run(["sh"], input=script, check=True, cwd="/", stdout=subprocess.DEVNULL)
    assert (shared.project.root / "made").read_text() == "made\n"


def test_what_was_only_looked_at_is_not_stored(shared: Shared) -> None:
    assert shared.ask("explain", shared.action).status == 0
    assert shared.ask("show", shared.action).status == 0
    gone = {"PYTRACE_REMOTE": ""}
    assert shared.ask("show", "latest", **gone).status == 20
    assert shared.ask("show", shared.action, **gone).status == 20


def test_only_a_whole_digest_is_looked_up_in_a_remote(shared: Shared) -> None:
    for reference in (shared.action[:10], shared.action.partition("/")[0], "latest", "out"):
        assert shared.ask("show", reference).status == 10, reference  # nor is a store made for it
        shared.ask("show", f"{'0' * 64}/5")
        done = shared.ask("show", reference)
        assert (done.status, done.stdout, done.stderr.count(b"\n")) == (20, b"", 1)
        assert shared.url in done.stderr.decode()
        assert shared.ask("show", reference, store="store").status == 0
        subprocess.run(["rm", "-r", shared.project.base / "empty"], check=True)


@pytest.mark.parametrize("reference", [f"{'0' * 64}/5", "0123/5", f"{'0' * 64}/0", f"{'f' * 200}/7"])
def test_what_no_remote_has(shared: Shared, reference: str) -> None:
    for _ in range(2):
        done = shared.ask("show", reference)
        assert (done.status, done.stdout, done.stderr.count(b"\n")) == (20, b"", 1)


def test_explain_holds_a_remotes_result_against_today(shared: Shared) -> None:
    assert shared.ask("explain", shared.action, "--json").json["outcome"] == "hit"
    shared.project.write(**{"in": "other\n", "made": "other\n"})
    local = shared.project.pytrace("explain", shared.action, "--json")
    assert set(codes(local.json)) >= {"inputs_changed", "output_differs"}
    for store in ("empty", "another"):
        remote = shared.ask("explain", shared.action, "--json", store=store)
        assert (remote.status, remote.json) == (1, local.json)


def test_a_function_that_was_chosen(project: Project, server: RunningServer) -> None:
    shared = share(project, server.grpc_url, "--digest-function", "blake3")
    assert shared.ask("show", shared.action).status == 20
    assert shared.ask("show", shared.action, "--digest-function", "blake3").status == 0


def test_an_instance_of_its_own(project: Project, server: RunningServer) -> None:
    shared = share(project, server.grpc_url, "--instance-name", "team")
    assert shared.ask("show", shared.action).status == 20
    assert shared.ask("show", shared.action, "--instance-name", "team").status == 0


def test_a_remote_that_is_gone(shared: Shared, server: RunningServer) -> None:
    server.terminate()
    for _ in range(2):  # that it failed a moment ago is no answer to who asks
        for verb in ("show", "explain"):
            done = shared.ask(verb, shared.action)
            assert (done.status, done.stdout, done.stderr.count(b"\n")) == (13, b"", 1)
            assert b"a moment ago" not in done.stderr
    assert shared.ask("show", shared.action, store="store").status == 0


@pytest.fixture
def web(project: Project) -> Iterator[tuple[ForeignHttp, Shared]]:
    """A result in a server that is not ours."""
    cache = ForeignHttp()
    with foreign_http(cache) as url:
        yield cache, share(project, url)


def test_a_remote_that_wants_credentials(web: tuple[ForeignHttp, Shared]) -> None:
    cache, shared = web
    cache.status["GET"] = 401
    for _ in range(2):
        assert shared.ask("show", shared.action).status == 12
        assert shared.ask("explain", shared.action).status == 12
        assert shared.ask("explain", "--", *COMMAND).status == 12
    cache.status.clear()
    assert shared.ask("show", shared.action).status == 0
    assert shared.ask("explain", "--", *COMMAND).status == 0


def _lose(cache: ForeignHttp, beginning: bytes) -> None:
    """Take a blob that begins in a way that no other does."""
    (lost,) = [path for path, body in cache.bodies.items() if path.startswith("/cas/") and body.startswith(beginning)]
    del cache.bodies[lost]


def test_a_remote_that_lost_an_output(web: tuple[ForeignHttp, Shared]) -> None:
    cache, shared = web
    _lose(cache, b"said\n")
    assert shared.ask("show", shared.action).status == 0
    assert shared.ask("explain", shared.action).status == 20
    done = shared.ask("explain", "--json", "--", *COMMAND)
    assert (done.status, codes(done.json)[0]) == (1, "remote_lacks_blob")


@pytest.mark.parametrize("what", ["what it did", "what it depends on"])
def test_a_remote_that_lost_what_is_shown(web: tuple[ForeignHttp, Shared], what: str) -> None:
    cache, shared = web
    if what == "what it did":
        _lose(cache, HEADER)
    else:
        del cache.bodies[f"/cas/{shared.action.partition('/')[0]}"]
    done = shared.ask("show", shared.action)
    assert (done.status, done.stdout, done.stderr.count(b"\n")) == (20, b"", 1)


def test_a_store_that_may_not_be_written(project: Project, server: RunningServer) -> None:
    disk = project.base / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(disk)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs CAP_SYS_ADMIN")
    try:
        shared = share(project, server.grpc_url)
        assert project.wrapped("true", PYTRACE_DIR=str(disk / "store")).status == 0
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert shared.ask("show", "latest", store="disk/store").status == 0
        done = shared.ask("show", shared.action, store="disk/store")
        assert (done.status, done.stderr.count(b"\n")) == (13, 1)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_statistics_are_those_of_a_store(shared: Shared) -> None:
    """Of ours by HTTP, too; the protocol has none."""
    done = shared.project.pytrace("stats", "--json", "--remote", shared.url)
    if shared.url.startswith("http:"):
        assert (done.status, done.json["remote"]) == (0, shared.url)
    else:
        assert (done.status, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
        assert b"HTTP address" in done.stderr
    assert shared.ask("stats", "--json", store="store", PYTRACE_REMOTE="").json["runs"]["miss"] == 1


def test_the_remote_is_asked_for_a_weak_key_that_it_alone_has(shared: Shared, tmp_path: Path) -> None:
    done = shared.ask("explain", shared.weak, "--json", PYTRACE_DIR=str(tmp_path / "store"))
    assert (done.status, done.json["action"]) == (0, shared.action)

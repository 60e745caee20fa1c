# SPDX-License-Identifier: Apache-2.0
"""The wrapper in front of remotes: our own server, over gRPC and HTTP, and ones that fail."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from tests.support.foreign_grpc import ForeignCache, foreign_grpc
from tests.support.foreign_http import ForeignHttp, foreign_http
from tests.support.runner import wrapper_command
from tests.support.sandbox import Sandbox, environment
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.strace

COPY = ("sh", "-c", "cat in > out; echo copied; echo aside >&2")
SELECTED = ("sh", "-c", 'cat "$(cat which)" > out')
FAILING = ("sh", "-c", "cat in > out; exit 3")
PROTOCOLS = ("grpc", "http")


@attrs.frozen
class Ran:
    """One run: its end, and its line in the statistics."""

    status: int
    stdout: bytes
    stderr: bytes
    line: Mapping[str, Any]

    @property
    def how(self) -> tuple[str, str | None]:
        """Outcome and source."""
        return self.line["outcome"], self.line["source"]

    @property
    def remote(self) -> list[str]:
        """What went wrong with the remote."""
        return [reason["code"] for reason in self.line["reasons"] if reason["code"].startswith("remote_")]


@attrs.frozen
class Checkout:
    """A root to run in; `stores` is where the stores of all wrappers lie, and names the instance that they use."""

    root: Path
    stores: Path

    def start(
        self, store: str, url: str, *options: str, command: tuple[str, ...] = COPY, **variables: str
    ) -> subprocess.Popen[bytes]:
        """Begin a run with a clean root, over a store of that name."""
        (self.root / "out").unlink(missing_ok=True)
        places = ("--dir", str(self.stores / store), "--root", str(self.root), "--stats-log", self._log(store))
        return subprocess.Popen(
            [
                *wrapper_command(),
                *places,
                "--remote",
                url,
                "--instance-name",
                self.stores.name,
                *options,
                "--",
                *command,
            ],
            cwd=self.root,
            env=environment(os.fsencode(self.root.parent), variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def end(self, store: str, process: subprocess.Popen[bytes]) -> Ran:
        """Wait for a run."""
        stdout, stderr = process.communicate(timeout=120)
        with open(self._log(store), encoding="utf-8") as log:
            return Ran(process.returncode, stdout, stderr, json.loads(log.readlines()[-1]))

    def run(self, store: str, url: str, *options: str, command: tuple[str, ...] = COPY, **variables: str) -> Ran:
        """Run to the end."""
        return self.end(store, self.start(store, url, *options, command=command, **variables))

    def put(self, **files: bytes) -> None:
        """Write files, long ago."""
        for name, content in files.items():
            path = self.root / name
            path.write_bytes(content)
            os.utime(path, (1_500_000_000, 1_500_000_000))

    def made(self) -> bytes:
        """What the command made."""
        return (self.root / "out").read_bytes()

    def _log(self, store: str) -> str:
        return str(self.stores / f"{store}.jsonl")


@contextmanager
def checkouts(count: int) -> Iterator[list[Checkout]]:
    """Give so many roots, away from where tools expect scratch files."""
    with Sandbox() as sandbox:
        base = Path(os.fsdecode(sandbox.base))
        found = [Checkout(base / f"place{number}" / "work", base) for number in range(count)]
        for checkout in found:
            for part in ("work", "home", "tmp"):
                (checkout.root.parent / part).mkdir(parents=True)
            checkout.put(**{"in": b"input\n"})
        yield found


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    """One root with an input in it."""
    with checkouts(1) as found:
        yield found[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Our own server; each test has an instance of its own."""
    with running_server(tmp_path_factory.mktemp("served") / "store") as running:
        yield running


def url_of(server: RunningServer, protocol: str) -> str:
    """Give the address for a protocol."""
    return server.grpc_url if protocol == "grpc" else server.http_url


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_empty_store_hits_the_server(checkout: Checkout, server: RunningServer, protocol: str) -> None:
    url, content = url_of(server, protocol), os.urandom(5 << 20)
    checkout.put(**{"in": content})
    first = checkout.run("a", url)
    assert (first.how, first.remote) == (("miss", None), [])
    second = checkout.run("b", url)
    assert (second.how, second.remote) == (("hit", "remote"), [])
    assert checkout.made() == content
    assert (second.status, second.stdout, second.stderr) == (0, b"copied\n", b"aside\n")
    assert checkout.run("b", url).how == ("hit", "local")
    assert second.line["action"] == first.line["action"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_failure_is_shared(checkout: Checkout, server: RunningServer, protocol: str) -> None:
    url = url_of(server, protocol)
    assert checkout.run("a", url, "--cache-failures", command=FAILING).status == 3
    second = checkout.run("b", url, "--cache-failures", command=FAILING)
    assert (second.how, second.status) == (("hit", "remote"), 3)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_read_only_server(checkout: Checkout, tmp_path: Path, protocol: str) -> None:
    with running_server(tmp_path / "served") as server:
        checkout.run("a", url_of(server, protocol))
    with running_server(tmp_path / "served", "--read-only") as server:
        url = url_of(server, protocol)
        assert checkout.run("b", url).how == ("hit", "remote")
        checkout.put(**{"in": b"changed\n"})
        assert checkout.run("b", url).how == ("miss", None)
        assert checkout.run("b", url).how == ("hit", "local")
        assert checkout.run("c", url).how == ("miss", None)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_died(checkout: Checkout, tmp_path: Path, protocol: str) -> None:
    with running_server(tmp_path / "served") as server:
        url = url_of(server, protocol)
        checkout.run("a", url)
        server.kill()
        first = checkout.run("b", url)
        assert (first.how, first.remote, first.stderr) == (("miss", None), ["remote_failed"], b"aside\n")
        assert checkout.made() == b"input\n"
        second = checkout.run("b", url)
        assert (second.how, second.remote) == (("hit", "local"), [])
        checkout.put(**{"in": b"changed\n"})
        third = checkout.run("b", url, "-v")
        assert (third.how, third.remote) == (("miss", None), ["remote_skipped"])
        assert third.stderr.count(b"pytrace: ") == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_does_not_answer(checkout: Checkout, protocol: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{protocol}://127.0.0.1:{listener.getsockname()[1]}"
        first = checkout.run("a", url, "--remote-timeout", "300ms")
        assert (first.how, first.remote, first.stdout) == (("miss", None), ["remote_failed"], b"copied\n")


@pytest.mark.parametrize("fault", ["corrupt", "cut"])
def test_a_lying_server_costs_a_run(checkout: Checkout, fault: str) -> None:
    cache = ForeignHttp()
    with foreign_http(cache) as url:
        checkout.run("a", url)
        setattr(cache, fault, True)
        second = checkout.run("b", url)
    assert (second.how, second.remote) == (("miss", None), ["remote_failed"])
    assert (second.status, checkout.made()) == (0, b"input\n")


def test_a_server_that_lost_an_output(checkout: Checkout) -> None:
    cache = ForeignCache()
    with foreign_grpc(cache) as url:
        checkout.run("a", url)
        del cache.blobs[SHA256.of(b"input\n").hash]
        second = checkout.run("b", url)
        assert (second.how, second.remote) == (("miss", None), ["remote_lacks_blob"])
        assert checkout.run("c", url).how == ("hit", "remote")


def test_a_cache_that_refuses_to_overwrite(checkout: Checkout) -> None:
    checkout.put(one=b"1", two=b"2", which=b"one")
    with foreign_grpc(ForeignCache(overwriting="silently")) as url:
        checkout.run("a", url, command=SELECTED)
        checkout.put(which=b"two")
        assert checkout.run("b", url, command=SELECTED).how == ("miss", None)
        assert checkout.run("c", url, command=SELECTED).how == ("hit", "remote")
        checkout.put(which=b"one")
        assert checkout.run("d", url, command=SELECTED).how == ("hit", "remote")
    assert checkout.made() == b"1"


def test_a_nearer_list_does_not_overwrite_the_farther_one(checkout: Checkout, server: RunningServer) -> None:
    url = server.grpc_url
    checkout.put(one=b"1", two=b"2", three=b"3", which=b"one")
    checkout.run("a", url, command=SELECTED)
    checkout.put(which=b"two")
    checkout.run("b", url, "--mode", "recache", command=SELECTED)
    checkout.put(which=b"three")
    checkout.run("b", url, command=SELECTED)
    for number, which in enumerate((b"one", b"two", b"three")):
        checkout.put(which=which)
        assert checkout.run(f"fresh{number}", url, command=SELECTED).how == ("hit", "remote")
        assert checkout.made() == b"%d" % (number + 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_wrappers_that_race(server: RunningServer, protocol: str) -> None:
    url, options = url_of(server, protocol), ("--portable",)
    with checkouts(2) as found:
        for checkout, which in zip(found, (b"one", b"two"), strict=True):
            checkout.put(one=b"one's", two=b"two's", which=which)

        def all_at_once(stores: str) -> list[tuple[str, str | None]]:
            names = [f"{stores}{number}" for number in range(2)]
            pairs = list(zip(found, names, strict=True))
            begun = [one.start(name, url, *options, command=SELECTED) for one, name in pairs]
            ended = [one.end(name, process) for (one, name), process in zip(pairs, begun, strict=True)]
            assert [one.made() for one in found] == [b"one's", b"two's"]
            assert [run.remote for run in ended] == [[], []]
            return [run.how for run in ended]

        assert all_at_once("a") == [("miss", None)] * 2
        # A list that was lost in the race costs one more run, after which both are listed.
        assert set(all_at_once("b")) <= {("miss", None), ("hit", "remote")}
        assert all_at_once("c") == [("hit", "remote")] * 2


@pytest.mark.parametrize(("options", "sent"), [((), False), (("--upload-inputs",), True)])
def test_inputs_are_uploaded_when_asked_for(checkout: Checkout, options: tuple[str, ...], sent: bool) -> None:
    cache = ForeignCache()
    count = ("sh", "-c", "wc -c < in")
    with foreign_grpc(cache) as url:
        assert checkout.run("a", url, *options, command=count).how == ("miss", None)
    assert (SHA256.of(b"input\n").hash in cache.blobs) is sent


def test_the_remote_only(checkout: Checkout, server: RunningServer) -> None:
    url = server.grpc_url
    assert checkout.run("a", url, PYTRACE_REMOTE_ONLY="1").how == ("miss", None)
    assert checkout.run("a", url, PYTRACE_REMOTE_ONLY="1").how == ("hit", "remote")
    with Store.open(os.fsencode(checkout.stores / "a")) as store:
        assert list(store.action_results()) == []


def test_a_local_hit_asks_nobody_and_imports_nothing_for_it(checkout: Checkout) -> None:
    cache = ForeignCache()
    with foreign_grpc(cache) as url:
        checkout.run("a", url, PYTHONPROFILEIMPORTTIME="1")
        asked = len(cache.calls)
        second = checkout.run("a", url, PYTHONPROFILEIMPORTTIME="1")
    assert (second.how, second.remote, len(cache.calls)) == (("hit", "local"), [], asked)
    imported = {line.rpartition(b"|")[2].strip() for line in second.stderr.splitlines()}
    assert b"pytrace_exec.cache.tiered" in imported
    assert imported.isdisjoint((b"grpc", b"google.protobuf", b"http.client", b"ssl", b"pytrace_proto"))


def test_the_command_finds_no_connection_in_its_descriptors(checkout: Checkout, server: RunningServer) -> None:
    command = ("sh", "-c", "ls /proc/$$/fd")
    plain = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert checkout.run("a", server.grpc_url, command=command).stdout == plain.stdout

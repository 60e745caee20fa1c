# SPDX-License-Identifier: Apache-2.0
"""BuildGrid 0.4.4 as a client; BuildGrid and buildbox-casd as proxies in front of us, and as the wrapper's remote."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from tests.compat.test_wrapper_remote import checkouts
from tests.support.foreign_servers import bgd, running_buildgrid, running_casd
from tests.support.server import running_server, server_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import RunningServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    bgd()
    with running_server(tmp_path / "served") as server:
        yield server


def insecure(server: RunningServer) -> str:
    """Give our address as BuildGrid writes it."""
    return server.grpc_url.replace("grpc:", "http:")


def test_as_a_client(server: RunningServer, tmp_path: Path) -> None:
    folder, large = tmp_path / "tree", os.urandom(6 << 20)
    (folder / "deep").mkdir(parents=True)
    (folder / "small").write_bytes(b"small\n")
    (folder / "deep" / "large").write_bytes(large)

    def cas(*arguments: str) -> str:
        command = [str(bgd()), "cas", "--remote", insecure(server), "--instance-name", "some/where", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=server_environment(), capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    pushed = dict(re.findall(r"path=\[(\S+)\] with digest=\[(\S+)\]", cas("upload-dir", "tree", "--verify")))
    assert pushed["tree/deep/large"] == str(SHA256.of(large))
    cas("download-dir", pushed["tree"], "back", "--verify")
    assert (tmp_path / "back" / "deep" / "large").read_bytes() == large
    assert (tmp_path / "back" / "small").read_bytes() == b"small\n"


@contextmanager
def proxy(kind: str, folder: Path, upstream: str) -> Iterator[str]:
    """Run one of the two in front of another server."""
    services = ("cas", "ac")
    if kind == "buildgrid":
        with running_buildgrid(folder, upstream) as url:
            yield url
    else:
        with running_casd(folder, *(f"--{service}-remote={upstream}" for service in services)) as url:
            yield url


@pytest.mark.strace
@pytest.mark.parametrize("kind", ["buildgrid", "casd"])
def test_the_wrapper_through_a_proxy(server: RunningServer, tmp_path: Path, kind: str) -> None:
    with proxy(kind, tmp_path / "proxy", insecure(server)) as url, checkouts(1) as (checkout,):
        checkout.put(**{"in": os.urandom(5 << 20)})
        content = (checkout.root / "in").read_bytes()
        first = checkout.run("a", url, "--instance-name", "")
        assert (first.how, first.remote) == (("miss", None), [])
        second = checkout.run("b", url, "--instance-name", "")
        assert (second.how, second.remote, checkout.made()) == (("hit", "remote"), [], content)
    assert server.terminate() == 0
    with Store.open(bytes(tmp_path / "served")) as store:
        assert len(list(store.action_results())) >= 2
        assert store.contains(SHA256, SHA256.of(content))


@pytest.mark.strace
@pytest.mark.parametrize("kind", ["buildgrid", "casd"])
def test_the_wrapper_with_others_as_its_remote(tmp_path: Path, kind: str) -> None:
    running = running_buildgrid if kind == "buildgrid" else running_casd
    with running(tmp_path / "other") as url, checkouts(1) as (checkout,):
        checkout.put(**{"in": os.urandom(5 << 20)})
        content = (checkout.root / "in").read_bytes()
        first = checkout.run("a", url, "--instance-name", "")
        assert (first.how, first.remote) == (("miss", None), [])
        second = checkout.run("b", url, "--instance-name", "")
        assert (second.how, second.remote, checkout.made()) == (("hit", "remote"), [], content)
        assert (second.status, second.stdout, second.stderr) == (0, b"copied\n", b"aside\n")

# SPDX-License-Identifier: Apache-2.0
"""Real clients before a server that asks who they are: the wrapper, and Bazel."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.compat.test_wrapper_remote import Checkout, checkouts, url_of
from tests.support.bazel import BAZEL, running_bazel
from tests.support.credentials import Authority, basic, htpasswd, rights
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import RunningServer

TOKENS = {name: f"{name}-0123456789abcdef" for name in ("ci", "reader", "stranger")}


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    """One root with an input in it."""
    with checkouts(1) as found:
        yield found[0]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def access(authority: Authority) -> tuple[str, ...]:
    """Options of a server that knows passwords and tokens, and what they are good for."""
    files = {
        "htpasswd": htpasswd(ci="secret"),
        "bearer-token": "".join(f"{name}:{token}\n" for name, token in TOKENS.items()),
        "rights": rights(("ci", "*", ["read", "cas", "ac"]), ("reader", "*", ["read"])),
    }
    for name, text in files.items():
        (authority.folder / name).write_text(text)
    return tuple(part for name in files for part in (f"--{name}-file", str(authority.folder / name)))


@pytest.fixture(scope="module")
def by_header(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, access: tuple[str, ...]
) -> Iterator[RunningServer]:
    """A server that wants a header."""
    store = tmp_path_factory.mktemp("header") / "store"
    with running_server(store, *authority.tls_options(clients=False), *access) as server:
        yield server


@pytest.fixture(scope="module")
def by_certificate(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, access: tuple[str, ...]
) -> Iterator[RunningServer]:
    """A server that wants a certificate."""
    store = tmp_path_factory.mktemp("certificate") / "store"
    with running_server(store, *authority.tls_options(clients=True), *access) as server:
        yield server


def bearer(name: str) -> tuple[str, str]:
    return "--remote-header", f"authorization=Bearer {TOKENS[name]}"


@pytest.mark.strace
@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("way", ["certificate", "bearer", "basic", "address"])
def test_the_wrapper_shows_who_it_is(
    checkout: Checkout,
    authority: Authority,
    by_header: RunningServer,
    by_certificate: RunningServer,
    protocol: str,
    way: str,
) -> None:
    url = url_of(by_certificate if way == "certificate" else by_header, protocol)
    shown: tuple[str, ...] = ()
    if way == "certificate":
        cert, key = authority.issue("wrapper", common_name="ci")
        shown = ("--remote-cert", str(cert), "--remote-key", str(key))
    elif way == "bearer":
        shown = bearer("ci")
    elif way == "basic":
        shown = ("--remote-header", f"authorization={basic('ci', 'secret')}")
    else:
        url = url.replace("://", "://ci:secret@")
    options = ("--remote-ca", str(authority.file), *shown)
    first = checkout.run("a", url, *options)
    assert (first.how, first.remote) == (("miss", None), [])
    second = checkout.run("b", url, *options)
    assert (second.how, second.remote) == (("hit", "remote"), [])
    assert checkout.made() == b"input\n"


@pytest.mark.strace
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_refused_write_costs_nothing(
    checkout: Checkout, authority: Authority, by_header: RunningServer, protocol: str
) -> None:
    url, options = url_of(by_header, protocol), ("--remote-ca", str(authority.file), "-v")
    checkout.run("a", url, *options, *bearer("ci"))
    assert checkout.run("b", url, *options, *bearer("reader")).how == ("hit", "remote")
    checkout.put(**{"in": b"changed\n"})
    refused = checkout.run("b", url, *options, *bearer("reader"))
    assert (refused.how, refused.status, checkout.made()) == (("miss", None), 0, b"changed\n")
    # Over gRPC, Capabilities say beforehand that nothing is to be sent.
    assert refused.remote == ([] if protocol == "grpc" else ["remote_refused"])
    assert refused.stderr.count(b"pytrace: ") == len(refused.remote)
    assert checkout.run("b", url, *options, *bearer("reader")).how == ("hit", "local")
    assert checkout.run("c", url, *options, *bearer("ci")).how == ("miss", None)


@pytest.mark.strace
@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("who", ["anonymous", "mistaken", "stranger"])
def test_a_refused_read_costs_nothing(
    checkout: Checkout, authority: Authority, by_header: RunningServer, protocol: str, who: str
) -> None:
    url = url_of(by_header, protocol)
    shown = {
        "anonymous": (),
        "mistaken": ("--remote-header", "authorization=Bearer not-a-token-of-anybody"),
        "stranger": bearer("stranger"),
    }[who]
    refused = checkout.run("a", url, "--remote-ca", str(authority.file), "-v", *shown)
    assert (refused.how, refused.status, refused.remote) == (("miss", None), 0, ["remote_failed"])
    assert (checkout.made(), refused.stdout) == (b"input\n", b"copied\n")
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith(b"pytrace: ")]
    assert b"remote-header" in line
    assert b"not-a-token-of-anybody" not in refused.stderr
    assert TOKENS["stranger"].encode() not in refused.stderr


@pytest.mark.bazel
@pytest.mark.slow
@pytest.mark.skipif(BAZEL is None, reason="Bazel is not installed (Debian: bazel-bootstrap)")
def test_bazel_with_a_header(tmp_path: Path, access: tuple[str, ...]) -> None:
    """Who may write fills the cache; who may read gets all of it, and cannot fill it. Debian's Bazel has no grpcs."""
    workspace, root = tmp_path / "workspace", tmp_path / "root"
    workspace.mkdir()
    (workspace / "WORKSPACE").write_text('workspace(name = "access")\n')
    (workspace / "BUILD").write_text(
        '[genrule(name = "g%d" % n, outs = ["g%d.out" % n], cmd = "echo %d > $@" % n) for n in range(5)]\n'
    )
    hits = []
    try:
        with running_server(tmp_path / "store", *access) as server:
            for number, (who, *flags) in enumerate((("ci",), ("reader", "--noremote_upload_local_results"))):
                with running_bazel(workspace, root, f"base{number}") as bazel:
                    header = f"--remote_header=authorization=Bearer {TOKENS[who]}"
                    options = ("//...", f"--remote_cache={server.grpc_url}", header)
                    if flags:
                        # It asks Capabilities, and will not begin to build what it could not upload.
                        assert "not authorized to write" in bazel.build(*options).log
                    build = bazel.build(*options, *flags)
                assert build.status == 0, build.log
                hits.append(build.processes.get("remote cache hit", 0))
    finally:
        subprocess.run(["chmod", "-R", "u+w", root], check=True)
        shutil.rmtree(root)
    assert hits == [0, 5]

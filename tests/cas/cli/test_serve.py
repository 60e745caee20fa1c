# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas serve` and `config show` as processes: options, addresses, exit statuses, signals."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import urllib.request
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from tests.support import messages
from tests.support.server import PYTRACE_CAS, running_server, server_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `pytrace-cas` to its end."""
    return subprocess.run(
        [PYTRACE_CAS, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=server_environment() | environment,
    )


def shown(*arguments: str, **environment: str) -> dict[str, tuple[object, str]]:
    """Ask `config show` for each value and its source."""
    done = run("config", "show", "--json", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)["settings"]
    return {name: (row["value"], row["source"]) for name, row in settings.items()}


def test_defaults_are_loopback() -> None:
    settings = shown("--dir", "d")
    assert settings["grpc-address"] == ("127.0.0.1:9092", "default")
    assert settings["http-address"] == ("127.0.0.1:8080", "default")
    assert settings["max-size"] == (None, "default")


def test_origins_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('remote-asset = true\nremote-asset-allow = ["https://a.example", "https://*.b.example:444"]\n')
    listed = ["https://a.example", "https://*.b.example:444"]
    assert shown("--config", str(file))["remote-asset-allow"] == (listed, "configuration file")
    variables = {"PYTRACE_CAS_REMOTE_ASSET_ALLOW": " ".join(listed)}
    assert shown("--remote-asset", **variables)["remote-asset-allow"] == (listed, "environment")
    flags = [part for origin in listed for part in ("--remote-asset-allow", origin)]
    assert shown(*flags)["remote-asset-allow"] == (listed, "command line")


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('dir = "from-file"\nmax-size = "3GiB"\nstrict_ac = true\nhttp-address = "none"\n')
    settings = shown("--config", str(file), "--max-size", "5K", PYTRACE_CAS_DIR="from-environment")
    assert settings["dir"] == ("from-environment", "environment")
    assert settings["max-size"] == (5000, "command line")
    assert settings["strict-ac"] == (True, "configuration file")
    assert settings["http-address"] == (None, "configuration file")
    assert shown(PYTRACE_CAS_CONFIG=str(file))["max-size"] == (3 << 30, "configuration file")


def test_what_is_not_set_is_shown_too() -> None:
    settings = shown()
    assert (settings["dir"], settings["fsync"]) == ((None, "default"), (False, "default"))


def test_the_users_own_verbosity_of_grpc_counts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        # Of several workers, a supervisor finds it first, which has no gRPC.
        options = ("--dir", str(tmp_path / "d"), "--grpc-address", address, "--http-address", "none", "--workers", "1")
        assert len(run("serve", *options).stderr.splitlines()) == 1
        assert len(run("serve", *options, GRPC_VERBOSITY="ERROR").stderr.splitlines()) > 1


def test_bazel_remotes_spelling_is_read() -> None:
    settings = shown("--dir=d", "--max_size=5", "--grpc_address=127.0.0.1:1", "--max_blob_size=7")
    assert settings["max-size"] == (5 << 30, "command line")
    assert (settings["grpc-address"][0], settings["max-blob-size"][0]) == ("127.0.0.1:1", 7)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--dir=d", "--no-such-option"],
        ["--dir=d", "--max-size=many"],
        ["--dir=d", "--max-size=1", "--max_size=1"],
        ["--dir=d", "--grpc-address=9092"],
        ["--dir=d", "--grpc-address=127.0.0.1:99999"],
        ["--dir=d", "--grpc-address=none"],
        ["--dir=d", "--http-address=unix:"],
        ["--dir=d", "--access-log=some"],
        ["--dir=d", "--log-format=xml"],
        ["--dir=d", "--workers=0"],
        ["--dir=d", "--workers=2", "--grpc-address=unix:socket"],
        ["--dir=d", "--idle-timeout=0"],
        ["--dir=d", "--idle-timeout=soon"],
        ["--dir=d", "--workers=2", "--grpc-address=192.0.2.1:0"],
        ["--dir=d", "--config=/nonexistent/file"],
        ["--dir=d", "--grpc-address=192.0.2.1:0"],
    ],
)
def test_usage_errors_end_with_2(tmp_path: Path, arguments: list[str]) -> None:
    done = run("serve", *(argument.replace("=d", f"={tmp_path}/d") for argument in arguments))
    assert (done.returncode, done.stdout) == (2, "")


def test_a_file_with_an_unknown_key_ends_with_2(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    for text in ("sise = 1", "not toml"):
        file.write_text(text)
        assert run("serve", "--dir", str(tmp_path / "d"), "--config", str(file)).returncode == 2


def test_a_store_that_cannot_be_opened_ends_with_its_status(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert run("serve", "--dir", str(tmp_path / "file")).returncode == 2
    assert run("serve", "--dir", str(tmp_path / "none"), "--read-only").returncode == 10


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("option", ["--grpc-address", "--http-address"])
def test_an_address_in_use_ends_with_98(tmp_path: Path, option: str, workers: str) -> None:
    other = "--http-address" if option == "--grpc-address" else "--grpc-address"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = ("--dir", str(tmp_path / "d"), "--workers", workers)
        done = run("serve", *settings, option, address, other, "127.0.0.1:0")
    assert (done.returncode, done.stdout) == (98, "")
    assert len(done.stderr.splitlines()) == 1
    with running_server(tmp_path / "s", option, f"unix:{tmp_path}/socket"):
        done = run("serve", "--dir", str(tmp_path / "d"), option, f"unix:{tmp_path}/socket", other, "127.0.0.1:0")
    assert (done.returncode, done.stdout) == (98, "")


def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    with running_server(tmp_path / "s", "--grpc-address", address) as server:
        server.kill()
    assert (tmp_path / "socket").exists()
    with running_server(tmp_path / "s", "--grpc-address", address) as server:
        assert server.terminate() == 0


@pytest.mark.parametrize("option", ["--grpc-address", "--http-address"])
def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path, option: str) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    other = "--http-address" if option == "--grpc-address" else "--grpc-address"
    for path in (file, tmp_path / "no" / "folder", tmp_path / ("x" * 200)):
        done = run("serve", "--dir", str(tmp_path / "d"), option, f"unix:{path}", other, "127.0.0.1:0")
        assert (done.returncode, done.stdout) == (2, "")
    assert file.read_text() == "precious"


def test_http_can_be_left_out(tmp_path: Path) -> None:
    with running_server(tmp_path / "s", "--http-address", "none") as server:
        assert (server.grpc_url.startswith("grpc://"), server.http_url) == (True, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_calls_end(tmp_path: Path, number: signal.Signals) -> None:
    data = b"on its way when the signal came"
    begun, told = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytestream.WriteRequest]:
        yield bytestream.WriteRequest(resource_name=messages.upload_name(data), data=data[:5])
        begun.set()
        told.wait(30)
        yield bytestream.WriteRequest(write_offset=5, data=data[5:], finish_write=True)

    with running_server(tmp_path / "s") as server, grpc.insecure_channel(server.grpc) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch  # type: ignore[attr-defined]  # as its stubs say
        states = watch(health_pb2.HealthCheckRequest())
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        call = bytestream_pb2_grpc.ByteStreamStub(channel).Write.future(slowly())
        assert begun.wait(30)
        server.process.send_signal(number)
        assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING
        states.cancel()
        told.set()
        assert call.result().committed_size == len(data)
        assert server.process.wait(30) == 0
    with Store.open(bytes(tmp_path / "s")) as store:
        assert store.get(SHA256, SHA256.of(data)) == data


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    result = messages.result_of({"f": b"kept"})
    with running_server(tmp_path / "s") as server, grpc.insecure_channel(server.grpc) as channel:
        cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        cas.BatchUpdateBlobs(messages.update_request(b"kept"))
        ac = remote_execution_pb2_grpc.ActionCacheStub(channel)
        ac.UpdateActionResult(messages.put_result_request(b"action", result))
    with running_server(tmp_path / "s") as server, grpc.insecure_channel(server.grpc) as channel:
        ac = remote_execution_pb2_grpc.ActionCacheStub(channel)
        assert ac.GetActionResult(messages.get_result_request(b"action")) == result


def test_the_access_log_has_a_line_for_each_call(tmp_path: Path) -> None:
    with running_server(tmp_path / "s", "--access-log", "all", stderr=True) as server:
        with grpc.insecure_channel(server.grpc) as channel:
            cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
            cas.FindMissingBlobs(messages.missing_request(b"x"))
        url = f"{server.http_url}/cas/{SHA256.empty_digest().hash}"
        with urllib.request.urlopen(url) as response:
            assert response.status == 200
        server.terminate()
        log = server.errors()
    assert [line for line in log.splitlines() if "/FindMissingBlobs status=OK" in line]
    assert [line for line in log.splitlines() if "method=GET path=/cas/" in line]

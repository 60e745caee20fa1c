# SPDX-License-Identifier: Apache-2.0
"""Pages and the API over a store of a hundred thousand actions, beside one of a thousand: time and memory."""

from __future__ import annotations

import http.client
import os
import signal
import statistics
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.endpoint import ServerDidNotStart
from bench.idle import children, share_bytes
from bench.report import Table, seconds
from bench.workloads import installed
from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.store import Store, events
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACTIONS, QUICK_ACTIONS = (1_000, 100_000), (100, 1_000)
ASKED, QUICK_ASKED = 15, 3
MEBIBYTE = 1 << 20
_AT_ONCE, _HEADERS = 500, 200
# What is asked, by what it is called; {last} is the number of the action that was stored last.
QUESTIONS = {
    "overview": "/ui/",
    "list": "/ui/actions/",
    "list, most used first": "/ui/actions/?sort=hits",
    "search, part of the command": "/ui/actions/?command=f{last}.c",
    "search, a target": "/ui/actions/?target=:f{last}",
    "search, a mnemonic that all have": "/ui/actions/?mnemonic=CppCompile",
    "search, a word": "/ui/actions/?filter=package7:",
    "search, nothing found": "/ui/actions/?command=nothing",
    "search, a path": "/ui/actions/?path=out/f{last}.o",
    "search, a path that all read": "/ui/actions/?path=include/",
    "action": "{action}",
    "API, 50 actions": "/api/v1/actions",
    "API, a path": "/api/v1/paths?path=out/f{last}.o",
}


class WrongAnswer(Exception):
    """A server did not answer a question with what was asked for."""


def measure_all(folder: Path, quick: bool, begins: Callable[[str], None]) -> Iterator[Table]:
    """Fill stores and ask a server over each."""
    columns: dict[str, dict[str, str]] = {}
    for count in QUICK_ACTIONS if quick else ACTIONS:
        begins(f"loading {count} actions")
        last = load(folder / str(count), count)
        begins(f"pages over {count} actions")
        columns[f"{count:,} actions"] = _measure(folder / str(count), count, last, QUICK_ASKED if quick else ASKED)
    names = next(iter(columns.values()))
    rows = [(name, *(figures[name] for figures in columns.values())) for name in names]
    yield Table("Pages, median (slowest); memory: PSS", ("asked", *columns), rows)


def load(folder: Path, count: int) -> Digest:
    """Fill a store as a build of so many compilations does; return the digest of the last action."""
    with Store.open(os.fsencode(folder), max_size=1 << 40) as store:
        headers = [
            reapi.FileNode(name=f"h{number}.h", digest=_named(store.put(SHA256, b"h%d" % number)))
            for number in range(_HEADERS)
        ]
        shared = store.put(
            SHA256, reapi.Directory(files=sorted(headers, key=lambda file: file.name)).SerializeToString()
        )
        for start in range(0, count, _AT_ONCE):
            last = _load(store, shared, range(start, min(count, start + _AT_ONCE)))
    return last


def _load(store: Store, shared: Digest, numbers: range) -> Digest:
    """Put some actions with their results; return the last."""
    blobs: dict[Digest, bytes] = {}
    results = []

    def keep(data: bytes) -> reapi.Digest:
        digest = SHA256.of(data)
        blobs[digest] = data
        return _named(digest)

    for number in numbers:
        source, made = keep(b"int f%d;\n" % number), keep(b"object %d " % number * 20)
        include = reapi.DirectoryNode(name="include", digest=_named(shared))
        files = [reapi.FileNode(name=f"f{number}.c", digest=source)]
        root = keep(reapi.Directory(files=files, directories=[include]).SerializeToString())
        words = ["gcc", "-c", f"f{number}.c", "-o", f"out/f{number}.o"]
        command = keep(reapi.Command(arguments=words).SerializeToString())
        action = keep(reapi.Action(command_digest=command, input_root_digest=root).SerializeToString())
        result = reapi.ActionResult(output_files=[reapi.OutputFile(path=f"out/f{number}.o", digest=made)])
        results.append((action, result, (made, command, root, action)))
    store.put_many(SHA256, blobs.items())
    for action, result, needs in results:
        store.put_action_result(SHA256, "", _value(action), result.SerializeToString(), map(_value, needs))
    store.record((), _noted([_value(action) for action, _, _ in results], numbers))
    return _value(results[-1][0])


def _noted(actions: list[Digest], numbers: range) -> Iterator[events.Event]:
    """What a server notes of results that Bazel stored, of which every other one was asked for again, some often."""
    for number, action in zip(numbers, actions, strict=True):
        said = ("bazel", "7.4.1", f"build-{number % 50}", "", "CppCompile", f"//package{number % 997}:f{number}", "")
        yield events.request("stored", SHA256, "", action, *said)
        if number % 2:
            yield events.request("asked", SHA256, "", action, *said)
            yield events.hit(SHA256, "", action, 1 + number % 17)


def _named(digest: Digest) -> reapi.Digest:
    return reapi.Digest(hash=digest.hash, size_bytes=digest.size_bytes)


def _value(digest: reapi.Digest) -> Digest:
    return Digest(digest.hash, digest.size_bytes)


def _measure(store: Path, count: int, last: Digest, asked: int) -> dict[str, str]:
    """Ask everything, the first time apart: that makes the catalogue."""
    figures = {}
    with _serving(store) as (url, pid):
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
        figures["first look, which makes the catalogue"] = seconds(_ask_until_made(connection, "/ui/actions/"))
        before = _memory(pid)
        page = f"/ui/blobs/sha256/action/{last.hash}-{last.size_bytes}/"
        for name, question in QUESTIONS.items():
            path = question.format(last=count - 1, action=page)
            taken = [_ask(connection, path) for _ in range(asked)]
            figures[name] = f"{seconds(statistics.median(taken))} ({seconds(max(taken))})"
        figures["memory after the first look"] = f"{before / MEBIBYTE:.0f} MiB"
        figures["memory at the end"] = f"{_memory(pid) / MEBIBYTE:.0f} MiB"
        connection.close()
    return figures


def _ask_until_made(connection: http.client.HTTPConnection, path: str) -> float:
    """Ask again for as long as the answer is that the catalogue is being made."""
    began = time.monotonic()
    while (status := _status(connection, path)) == 503:
        time.sleep(1)
    if status != 200:
        raise WrongAnswer(f"{path} is answered with status {status}")
    return time.monotonic() - began


def _ask(connection: http.client.HTTPConnection, path: str) -> float:
    began = time.monotonic()
    status = _status(connection, path)
    if status != 200:
        raise WrongAnswer(f"{path} is answered with status {status}")
    return time.monotonic() - began


def _status(connection: http.client.HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response.status


@contextmanager
def _serving(store: Path) -> Iterator[tuple[str, int]]:
    """Serve a store by one worker; give the URL of its HTTP address, and its process."""
    addresses = ("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0", "--workers", "1")
    command = (installed("pytrace-cas"), "serve", "--dir", str(store), *addresses)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTRACE_")}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment) as one:
        assert one.stdout is not None
        words = one.stdout.readline().split()
        try:
            if words[:1] != ["ready"]:
                raise ServerDidNotStart(f"{' '.join(map(str, command))} said {words}")
            yield words[2], one.pid
        finally:
            one.send_signal(signal.SIGTERM)


def _memory(pid: int) -> int:
    return share_bytes([pid, *children(pid)])

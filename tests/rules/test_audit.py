# SPDX-License-Identifier: Apache-2.0
"""`pytrace_audit` over a hundred targets finds all of 25 planted mistakes, and no other."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.support.bazel import BAZEL, running_bazel
from tests.support.traced_workspace import TracedWorkspace, bazel_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.soak,
    pytest.mark.bazel,
    pytest.mark.skipif(BAZEL is None, reason="Bazel is not installed (Debian: bazel-bootstrap)"),
]

CLEAN = (
    "sort $< > $@",
    "grep -c i $< > $@ || true",
    "gcc -x c -E -P - < /dev/null > $@; cat $< >> $@",
    "for word in a b; do echo $$word; done > $@; cat $< >> $@",
    "NAME=value; echo $$NAME > $@; cat $< >> $@",
    "/usr/bin/python3 -B -c 'print(sum(map(ord, open(\"read.txt\").read())))' > $@",
)


@contextmanager
def answering() -> Iterator[int]:
    """A server on loopback that says a word to whoever connects; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer, suppress(OSError):  # one that has gone already is no end of this
                    peer.sendall(b"word\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def mistakes(outside: Path, workspace: Path, port: int) -> list[tuple[str, str]]:
    """Commands with a mistake each, and its kind."""
    found = [(f"cat $< {outside}/file{number} > $@", "undeclared_file") for number in range(5)]
    found += [("cat $< /etc/hostname > $@", "undeclared_file"), ("cat $< /etc/hosts > $@", "undeclared_file")]
    found += [
        (f"ls {outside} > $@; cat $< >> $@", "undeclared_file"),
        (f"{outside}/tool > $@; cat $< >> $@", "undeclared_file"),
    ]
    found += [(f"cat $< {workspace}/secret{number}.txt > $@", "absolute_path") for number in range(3)]
    found += [(f"cat $< > $@; cat < /dev/tcp/127.0.0.1/{port} >> $@ # {number}", "network") for number in range(2)]
    found += [
        ("echo $${RELEASE:-none} > $@; cat $< >> $@", "environment"),
        ("echo $${LANGUAGE_OF_SITE-none} > $@; cat $< >> $@", "environment"),
        ("/usr/bin/python3 -c 'import os; print(os.environ.get(\"SITE\", 1))' > $@; cat $< >> $@", "environment"),
    ]
    found += [(f"echo {number} > $@", "unused_input") for number in range(4)]
    found += [
        ("head -c 9 /dev/urandom | od -An -tx1 > $@; cat $< >> $@", "not_reproducible"),
        ("echo $$$$ > /dev/null; mktemp -u > $@; cat $< >> $@", "not_reproducible"),
        ("/usr/bin/python3 -c 'import uuid; print(uuid.uuid4())' > $@; cat $< >> $@", "not_reproducible"),
        ("cat $< > $@; od -An -N4 -tx1 /dev/urandom >> $@", "not_reproducible"),
    ]
    return found


def write(workspace: TracedWorkspace, outside: Path, port: int) -> dict[str, str]:
    """Write the workspace; return the kind of each target's mistake."""
    planted = mistakes(outside, workspace.folder, port)
    rules, expected = ['load("@pytrace//rules:audit.bzl", "pytrace_audit")'], {}
    for number in range(100):
        command, kind = planted[number // 4] if number % 4 == 0 else (CLEAN[number % len(CLEAN)], "")
        name = f"step{number}"
        rules.append(
            f'genrule(name = "{name}", srcs = ["read.txt"], outs = ["{name}.txt"], cmd = {json.dumps(command)})'
        )
        if kind:
            expected[f"//:{name}"] = kind
    targets = ", ".join(f'":step{number}"' for number in range(100))
    rules.append(f'pytrace_audit(name = "report", targets = [{targets}])')
    workspace.write({"BUILD": "\n".join(rules), "read.txt": "some\nlines\n"})
    for number in range(3):
        workspace.put(f"secret{number}.txt", "secret\n")
    outside.mkdir()
    for number in range(5):
        (outside / f"file{number}").write_text("outside\n")
    (outside / "tool").write_text("#!/bin/sh\necho tool\n")
    (outside / "tool").chmod(0o755)
    return expected


def test_all_planted_mistakes_and_no_other(tmp_path: Path) -> None:
    workspace = TracedWorkspace(tmp_path / "workspace", tmp_path / "writable")
    with answering() as port, bazel_root(tmp_path / "bazel") as root:
        expected = write(workspace, tmp_path / "outside", port)
        assert len(expected) == 25
        with running_bazel(workspace.folder, root, "base") as bazel:
            built = workspace.build(bazel, "//:report")
            assert built.build.status == 0, built.build.log
            found = json.loads(workspace.read("report.json"))["findings"]
    assert {one["target"]: one["kind"] for one in found} == expected
    assert len({(one["target"], one["kind"]) for one in found}) == 25, found

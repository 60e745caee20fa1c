# SPDX-License-Identifier: Apache-2.0
"""The rules of the protocol asked of our server and of others, as the table that the documentation shows."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.peers import BUILDGRID_PEER, CASD_PEER, PeerDidNotStart
from bench.workloads import installed
from pytrace_cas.conform.titles import TITLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    # Status and message by rule.
    Findings = dict[str, tuple[str, str]]

OURS = "pytrace-cas"
RIGHTS = {"writer": ["read", "cas", "ac"], "reader": ["read"]}
GRANT = """[[grant]]
identity = "{0}"
rights = {1}
"""
SHOWN = {"pass": "pass", "fail": "**fail**", "not_offered": "-"}
# What differs from run to run: digests, what an answer that should not have come held, how a deadline is told.
_VARYING = (
    (re.compile(r"[0-9a-f]{32,}"), "HASH"),
    (re.compile(r"OK \(.*?\)(?=; expected|$)"), "OK"),
    (re.compile(r"DEADLINE_EXCEEDED \(.*?\)(?=; expected|$)"), "DEADLINE_EXCEEDED"),
)


def tables(folder: Path, begins: Callable[[str], None]) -> str:
    """Judge every cache and return the tables in Markdown. Raises `PeerDidNotStart`."""
    found: dict[str, Findings] = {}
    begins(OURS)
    with ours(folder / "ours") as (url, options):
        found[OURS] = _judge(url, *options)
    for peer in (BUILDGRID_PEER, CASD_PEER):
        begins(peer.name)
        with peer.serving(folder / peer.name.partition(" ")[0]) as url:
            found[peer.name] = _judge(url)
    return "\n".join([*_table(found), "", *_failures(found)])


@contextmanager
def ours(folder: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """Serve all that we offer; yield the URL, and the options with which no rule has to be left out.

    Callers are told apart, and some may only read; assets can be had; the store is small enough to be overfilled.
    """
    folder.mkdir()
    (folder / "tokens").write_text("".join(f"{name}:{name}-of-the-bench\n" for name in RIGHTS))
    (folder / "rights.toml").write_text("".join(GRANT.format(name, rights) for name, rights in RIGHTS.items()))
    command = (
        *(installed("pytrace-cas"), "serve", "--dir", str(folder / "store")),
        *("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0", "--max-size", "64M", "--remote-asset"),
        *("--bearer-token-file", str(folder / "tokens"), "--rights-file", str(folder / "rights.toml")),
    )
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        words = server.stdout.readline().split()
        try:
            if words[:1] != ["ready"]:
                raise PeerDidNotStart(f"{OURS} said {words}")
            writer, reader = (f"authorization=Bearer {name}-of-the-bench" for name in RIGHTS)
            options = ("--header", writer, "--read-only-header", reader, "--overfill", "96M")
            yield words[1], ("--http", words[2], *options)
        finally:
            server.terminate()


def _judge(url: str, *options: str) -> Findings:
    """Run the tool as its users do; 1 says that some rule failed, which is what it is run for."""
    command = (installed("pytrace-cas"), "conform", url, *options, "--json")
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode not in (0, 1):
        raise PeerDidNotStart(f"{' '.join(command)} ended with {ran.returncode}")
    return {one["rule"]: (one["status"], _steady(one["message"])) for one in json.loads(ran.stdout)["rules"]}


def _steady(message: str) -> str:
    """A message without what differs from run to run."""
    for pattern, instead in _VARYING:
        message = pattern.sub(instead, message)
    return message


def _table(found: dict[str, Findings]) -> Iterator[str]:
    yield f"| rule | what it asks | {' | '.join(found)} |"
    yield "|---|---|" + "---|" * len(found)
    for id, title in TITLES.items():
        yield f"| {id} | {title} | {' | '.join(SHOWN[one[id][0]] for one in found.values())} |"
    counts = (sum(status == "pass" for status, _ in one.values()) for one in found.values())
    yield f"| | passed, of {len(TITLES)} | {' | '.join(map(str, counts))} |"


def _failures(found: dict[str, Findings]) -> Iterator[str]:
    """What was seen where a rule failed, a list a cache."""
    for name, findings in found.items():
        failed = [(id, message) for id, (status, message) in findings.items() if status == "fail"]
        yield f"{name}: {'' if failed else 'no rule failed.'}".rstrip()
        yield ""
        if failed:
            yield "```text"
            yield from (f"{id:>3}  {message}" for id, message in failed)
            yield "```"
            yield ""

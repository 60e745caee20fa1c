# SPDX-License-Identifier: Apache-2.0
"""Auditing one action: run it traced, run it again, and compare with what it declares."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import attrs

from pytrace_exec.bazel.environment_words import names_in
from pytrace_exec.bazel.inputs import Declared
from pytrace_exec.observe.times import holds
from pytrace_exec.observe.world import under

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

TAKEN_FOR_GRANTED = """
/bin /sbin /lib /lib32 /lib64 /usr/bin /usr/sbin /usr/lib /usr/lib32 /usr/lib64 /usr/libexec /usr/include /usr/share
/usr/local/lib /etc/localtime /etc/timezone
/etc/ld.so.cache /etc/ld.so.conf /etc/ld.so.conf.d /etc/ld.so.preload /etc/alternatives /etc/locale.alias
/etc/nsswitch.conf /etc/passwd /etc/group /etc/ssl/openssl.cnf /etc/python* /proc /sys /dev
"""
"""What of the host every action may read without being reported: its programs, its libraries, its tables of names."""

READS = frozenset({"content", "listing"})
PROBE = "pytrace-audit-probe"
MAX_NAMES = 16
LARGEST_SCRIPT = 1 << 20


@attrs.frozen
class Action:
    """An action as Bazel describes it; paths are relative to the execution root."""

    target: str
    mnemonic: str
    argv: tuple[str, ...]
    env: dict[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    folders: tuple[str, ...]
    sources: tuple[str, ...]
    host_paths: tuple[str, ...]

    @classmethod
    def read(cls, path: str) -> Action:
        """Read the description that the aspect wrote; raise OSError, or ValueError for something else."""
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
        try:
            lists = {field.name: tuple(told[field.name]) for field in attrs.fields(cls) if field.name in _LISTS}
            return cls(target=told["target"], mnemonic=told["mnemonic"], env=dict(told["env"]), **lists)
        except (KeyError, TypeError):
            raise ValueError(f"{path} does not describe an action; let the aspect of audit.bzl write it") from None

    @property
    def command(self) -> tuple[str, ...]:
        """The command itself, also where it runs under `pytrace-exec`."""
        if os.path.basename(self.argv[0]) == "pytrace-exec" and "--" in self.argv:
            return self.argv[self.argv.index("--") + 1 :]
        return self.argv


_LISTS = {"argv", "inputs", "outputs", "folders", "sources", "host_paths"}


@attrs.frozen
class Finding:
    """One thing found: `kind` is a key of `KINDS`, `subject` a path or a name."""

    kind: str
    subject: str
    message: str


KINDS = {
    "undeclared_file": "A file or directory is read that is not declared",
    "absolute_path": "A declared tree is read by an absolute path",
    "network": "Somebody outside the action is talked to",
    "environment": "The result depends on a variable that the action is not given",
    "unused_input": "A declared input is not used",
    "not_reproducible": "Two runs give different outputs",
    "clock": "The time is asked for",
    "failed": "The action fails by itself",
}


def audit(action: Action) -> list[Finding]:
    """Run the action here, in an execution root that holds its inputs, and tell what was found."""
    first = _Run(action, {})
    trace = first.traced()
    if trace["exit_code"]:
        return [Finding("failed", action.mnemonic, f"it ends with status {trace['exit_code']}: {first.said()}")]
    made = first.digests()
    again = _Run(action, {})
    again.plain()
    changed = sorted(path for path, digest in again.digests().items() if made.get(path) != digest)
    found = [*_reads(action, trace["observations"]), *_told(trace["not_storable"])]
    found += [Finding("unused_input", path, f"{path} is declared and not used") for path in _unused(action, trace)]
    found += [Finding("not_reproducible", path, f"{path} is another one in a second run") for path in changed]
    if not changed:
        found += _environment(action, trace["observations"], made)
    return found


def _reads(action: Action, observations: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Reads of what is neither declared, nor taken for granted, nor allowed."""
    here = os.fsencode(os.getcwd())
    declared = Declared(map(os.fsencode, action.inputs), here)
    known = frozenset(path for path, _ in declared.aliases())
    allowed = frozenset(map(os.fsencode, (*_granted(), *action.host_paths)))
    trees = [tree for _, tree in declared.trees(here)]
    told: set[bytes] = set()
    for one in observations:
        path = os.path.normpath(os.path.join(here, os.fsencode(str(one.get("path", "")))))
        if one["kind"] not in READS or path in told or holds(known, path) or holds(allowed, path):
            continue
        if one["kind"] == "listing" and (under(path, here) or any(under(known_one, path) for known_one in known)):
            continue
        if one["kind"] == "content" and not one.get("digest"):
            continue
        told.add(path)
        name = os.fsdecode(path)
        if any(under(path, tree) for tree in trees):
            yield Finding("absolute_path", name, f"{name} is read, by its absolute path, and not declared")
        else:
            what = "is listed" if one["kind"] == "listing" else "is read"
            yield Finding("undeclared_file", name, f"{name} {what} and not declared")


def _granted() -> Iterator[str]:
    """What every action may read here, globs resolved."""
    for pattern in TAKEN_FOR_GRANTED.split():
        yield from glob.glob(pattern) if "*" in pattern else (pattern,)


def _told(reasons: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    seen = set()
    for reason in reasons:
        code = reason["code"]
        if code in ("network", "clock") and code not in seen:
            seen.add(code)
            yield Finding(code, reason.get("path") or "", reason["message"])


def _unused(action: Action, trace: Mapping[str, Any]) -> list[str]:
    """Declared sources of which nothing counted."""
    here = os.getcwd()
    touched = {os.path.normpath(os.path.join(here, str(one.get("path", "")))) for one in trace["observations"]}
    real = {os.path.realpath(path) for path in touched}
    return sorted(
        source
        for source in set(action.sources) & set(action.inputs)
        if os.path.join(here, source) not in touched and os.path.realpath(source) not in real and os.path.isfile(source)
    )


def _environment(
    action: Action, observations: Iterable[Mapping[str, Any]], made: Mapping[str, str]
) -> Iterator[Finding]:
    """Variables that the command or a script names, is not given, and gives other outputs with."""
    texts = [" ".join(action.command), *_scripts(observations)]
    names = sorted(names_in(texts) - set(action.env))[:MAX_NAMES]
    for name in names:
        run = _Run(action, {name: PROBE})
        if run.plain() != 0 or run.digests() != made:
            yield Finding(
                "environment", name, f"the outputs depend on the variable {name}, which the action is not given"
            )


def _scripts(observations: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Texts below the execution root that were read."""
    for one in observations:
        path = str(one.get("path", ""))
        if one["kind"] == "content" and path and not path.startswith("/") and os.path.isfile(path):
            with open(path, "rb") as file:
                data = file.read(LARGEST_SCRIPT)
            if b"\0" not in data:
                yield data.decode("utf-8", "replace")


class _Run:
    """One run of an action in this folder; what earlier runs made is removed first."""

    def __init__(self, action: Action, more: Mapping[str, str]) -> None:
        self._action = action
        self._env = {"PATH": os.environ.get("PATH", "/bin:/usr/bin"), "TMPDIR": "/tmp", **action.env, **more}
        self._stderr = ""
        for path in (*action.outputs, *action.folders):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif os.path.lexists(path):
                os.unlink(path)
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        for path in action.folders:
            os.makedirs(path)

    def traced(self) -> dict[str, Any]:
        """Run under the tracer; return what `pytrace trace` tells."""
        with tempfile.TemporaryDirectory(prefix="pytrace-audit-") as place:
            report = os.path.join(place, "report")
            pytrace = os.path.abspath(sys.argv[0])
            words = [pytrace, "trace", "--format", "json", "--root", ".", "-o", report, "--", *self._action.command]
            self._stderr = self._run(words).stderr
            with open(report, encoding="utf-8") as file:
                told = json.load(file)
        assert isinstance(told, dict)
        return told

    def plain(self) -> int:
        """Run as it is; return its exit status."""
        done = self._run(self._action.command)
        self._stderr = done.stderr
        return done.returncode

    def _run(self, words: Iterable[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(words),
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    def said(self) -> str:
        """The end of what the last run said on standard error."""
        return self._stderr.strip()[-300:]

    def digests(self) -> dict[str, str]:
        """Digest of every output, by path; of a directory, of each file below."""
        files = (name for path in self._action.outputs for name in _files(path))
        return {name: _digest(name) for name in files}


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (os.path.join(folder, name) for name in names)


def _digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""

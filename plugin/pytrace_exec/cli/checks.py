# SPDX-License-Identifier: Apache-2.0
"""The checks of `pytrace doctor`, each by trying what it is about."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import attrs

from pytrace_cas.store import FolderInUse, NoStore, Store, StoreError, StoreNotWritable
from pytrace_cas.store.layout import Layout
from pytrace_cas.store.mark import refuse_used
from pytrace_cas.store.mounts import kind_of
from pytrace_exec.cli.choices import function_of
from pytrace_exec.observe.digest_cache import LOCAL_FILE_SYSTEMS
from pytrace_exec.pid_namespace import USER, kind
from pytrace_exec.places import find_places
from pytrace_exec.store_opening import store_folder
from pytrace_exec.tracer import native
from pytrace_exec.tracer.namespace import NamespaceUnavailable
from pytrace_exec.tracer.plain import run_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_exec.options import Options

OK, WARNING, PROBLEM = "ok", "warning", "problem"
OLDEST_STRACE = (5, 3)
"""The first strace with `--seccomp-bpf`."""
ALLOW_TRACING = "allow ptrace (docker: --cap-add SYS_PTRACE; sysctl kernel.yama.ptrace_scope=1)"
_SECONDS = 20


@attrs.frozen
class Finding:
    """What one check found; `advice`: what to do, if something is to be done."""

    name: str
    level: str
    message: str
    advice: str = ""

    def line(self) -> str:
        """One line for people."""
        return f"{self.level:8} {self.name:9} {self.message}{f': {self.advice}' if self.advice else ''}"

    def described(self) -> dict[str, Any]:
        """One object."""
        return {"name": self.name, "status": self.level, "message": self.message, "advice": self.advice or None}


def native_tracer(options: Options) -> tuple[str, ...]:
    """Built with this installation, and able to trace `true`."""
    if not native.is_built():
        advice = "strace is used; install again where a C compiler is, without PYTRACE_PURE"
        return WARNING, "the native tracer was not built", advice
    tried = _run([os.fsdecode(native.PROGRAM), "/dev/null", shutil.which("true") or "/bin/true", "true"])
    if tried.returncode:
        return PROBLEM, "the native tracer may not trace", ALLOW_TRACING
    return OK, "a process was traced by the native tracer"


def strace(options: Options) -> tuple[str, ...]:
    """Present, and not too old; not needed where the native tracer is."""
    found = shutil.which("strace")
    if found is None:
        return WARNING if native.is_built() else PROBLEM, "strace is not installed", "apt install strace"
    told = _run([found, "-V"]).stdout
    version = re.search(r"version (\d+)\.(\d+)", told)
    if version is None:
        return WARNING, f"{found} does not tell its version", "5.3 or later is needed"
    numbers = int(version[1]), int(version[2])
    if numbers < OLDEST_STRACE:
        return PROBLEM, f"{found} is {version[1]}.{version[2]}", "install strace 5.3 or later, which has --seccomp-bpf"
    return OK, f"{found} {version[1]}.{version[2]}"


def tracing(options: Options) -> tuple[str, ...]:
    """Whether this user may trace here, tried by strace with `true`, with and without the seccomp filter."""
    found = shutil.which("strace")
    if found is None:
        return WARNING if native.is_built() else PROBLEM, "not tried", "install strace first"
    with tempfile.NamedTemporaryFile(prefix="pytrace-doctor-") as log:
        command = [found, "-f", "-o", log.name, "--", "true"]
        plain = _run(command)
        filtered = _run([command[0], "--seccomp-bpf", *command[1:]])
    if plain.returncode:
        said = _last_line(plain.stderr) or f"status {plain.returncode}"
        return PROBLEM, f"strace may not trace ({said})", ALLOW_TRACING
    if filtered.returncode or "seccomp" in filtered.stderr:
        said = _last_line(filtered.stderr) or f"status {filtered.returncode}"
        return WARNING, f"no seccomp filter ({said})", "tracing works and is slower; allow seccomp(2) to speed it up"
    return OK, "a process was traced by strace, with a seccomp filter"


def pid_namespace(options: Options) -> tuple[str, ...]:
    """Whether `--pid-namespace` can be had, tried with `true`; only a problem for those who choose it."""
    level = PROBLEM if options.pid_namespace else WARNING
    program = os.fsencode(shutil.which("true") or "/bin/true")
    try:
        status = run_plain((b"true",), program, os.environb, pid_namespace=True)
    except NamespaceUnavailable as error:
        return level, f"--pid-namespace cannot be had ({error.why})", error.advice
    except OSError as error:
        return level, f"--pid-namespace was not tried ({error.strerror})", "install coreutils"
    if status:
        return level, f"--pid-namespace does not work (status {status})", "leave it out"
    return OK, f"--pid-namespace works{' by a user namespace' if kind() == USER else ''}"


def store(options: Options) -> tuple[str, ...]:
    """Where the store is, and whether it can be read and written."""
    folder = store_folder(options, os.environb)
    if folder is None:
        return PROBLEM, "HOME is not set", "set it, or name a store with --dir or PYTRACE_DIR"
    shown = os.fsdecode(folder)
    try:
        with Store.open(folder, create=False) as opened:
            used, limit = opened.size()
        return OK, f"{shown}, {used >> 20} of {limit >> 20} MiB"
    except NoStore:
        return _new_store(folder, shown)
    except StoreNotWritable as error:
        return WARNING, str(error), "until then results are replayed from it and none is stored"
    except StoreError as error:
        return PROBLEM, str(error)


def _new_store(folder: bytes, shown: str) -> tuple[str, ...]:
    """Whether a store could be made where none is yet; nothing is made."""
    existing = folder
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing) or not os.access(existing, os.W_OK | os.X_OK):
        return PROBLEM, f"{shown} cannot be made", f"allow writing to {os.fsdecode(existing)}, or choose another --dir"
    try:
        if existing == folder:
            refuse_used(Layout(folder))
    except FolderInUse as error:
        return PROBLEM, str(error)
    return OK, f"{shown} will be made by the first run"


def file_system(options: Options) -> tuple[str, ...]:
    """Whether the files under the root can be known again without reading them."""
    root = find_places(options, os.getcwdb(), os.environb).root
    with open("/proc/self/mountinfo", "rb") as table:
        kind = kind_of(root, table.read())
    shown = f"{os.fsdecode(root)} is on {kind or 'an unknown file system'}"
    if kind in LOCAL_FILE_SYSTEMS:
        return OK, shown
    return (
        WARNING,
        f"{shown}, whose times are not relied on",
        "every look-up reads all inputs; --trust-stat changes that",
    )


def digest_function(options: Options) -> tuple[str, ...]:
    """Which function makes keys here, and that it can be had."""
    if options.remote is not None and options.digest_function is None:
        return OK, "the remote's own"
    name = function_of(options).name
    try:
        function_of(options).of(b"")
    except ImportError as error:
        return PROBLEM, f"{name} cannot be had ({error})", "pip install blake3, or --digest-function sha256"
    return OK, name


def python(options: Options) -> tuple[str, ...]:
    """The interpreter that runs this."""
    return OK, f"{sys.executable} {platform.python_version()}"


def git(options: Options) -> tuple[str, ...]:
    """Git is not needed, but a clean index entry says which times mean nothing."""
    found = shutil.which("git")
    if found is None:
        return WARNING, "git is not installed", "only needed to work in git checkouts"
    return OK, _run([found, "--version"]).stdout.strip()


CHECKS: tuple[tuple[str, Callable[[Options], tuple[str, ...]]], ...] = (
    ("native", native_tracer),
    ("strace", strace),
    ("tracing", tracing),
    ("pids", pid_namespace),
    ("store", store),
    ("files", file_system),
    ("digests", digest_function),
    ("python", python),
    ("git", git),
)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a short command; one that hangs or cannot be started counts as failed."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]

# SPDX-License-Identifier: Apache-2.0
"""A miss: run the command under the tracer, derive what its result depended on, and store it if that is right."""

from __future__ import annotations

import os
import re
from functools import partial

from pytrace_cas.digest import Digest
from pytrace_cas.recorded.bytecode import source_of
from pytrace_cas.recorded.subjects import Subject
from pytrace_cas.store import OutOfSpace, ReadOnlyStore, StoreError
from pytrace_exec.cache.errors import BlobMissing, CacheFailed
from pytrace_exec.calls.table import HARMLESS, READS, WRITES, untraced
from pytrace_exec.observe.before import GRANULE_NS, EarlierView
from pytrace_exec.observe.conclude import conclude
from pytrace_exec.observe.facts import BYTECODE, value_of
from pytrace_exec.observe.meanwhile import Meanwhile
from pytrace_exec.observe.reader import read_events
from pytrace_exec.observe.run import Run, Setting
from pytrace_exec.observe.snapshot import Snapshot
from pytrace_exec.observe.variables import read_text, variable_subjects
from pytrace_exec.observe.view import LiveView
from pytrace_exec.observe.world import under
from pytrace_exec.policy.clock import clock_reasons
from pytrace_exec.policy.reasons import Reason
from pytrace_exec.policy.relaxing import Relaxing
from pytrace_exec.policy.storing import allowed_reasons
from pytrace_exec.policy.terms import terms_of
from pytrace_exec.recording import Recording, Unstorable, store
from pytrace_exec.tracer import native
from pytrace_exec.tracer.possible import TracerUnavailable
from pytrace_exec.tracer.running import run_traced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.lookup import LookUp
    from pytrace_exec.observe.conclude import Observations
    from pytrace_exec.observe.digest_cache import DigestCache
    from pytrace_exec.streams.capture import Recorded
    from pytrace_exec.tracer.events import Call
    from pytrace_exec.tracer.running import Trace, Tracer

ABBREVIATED = ("stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "uname")
"""Calls whose structures are not needed: what they tell is asked again."""

STREAM_PROBLEMS = {
    "reader_gone": "reader_gone",
    "foreign_writes": "foreign_writes",
    "held": "left_running",
    "unrecorded": "store_full",
}


class Traced:
    """A run with what was seen of it: wait status, observations, what came out of it; `listings` by their values."""

    __slots__ = ("earlier", "listings", "recorded", "seen", "status", "trace")

    def __init__(
        self,
        trace: Trace,
        seen: Observations,
        recorded: Recorded,
        earlier: EarlierView,
        listings: dict[bytes, bytes],
    ) -> None:
        self.trace = trace
        self.status = trace.status
        self.seen = seen
        self.recorded = recorded
        self.earlier = earlier
        self.listings = listings

    @property
    def ran(self) -> tuple[int, int]:
        """From when to when it ran, in nanoseconds of Unix time."""
        return self.trace.started_ns, self.trace.ended_ns


def run_command(invocation: Invocation, abbreviated: tuple[str, ...] = ABBREVIATED) -> tuple[Snapshot, Trace]:
    """Run the command under the tracer; raise TracerUnavailable if it has not begun."""
    tracer = _tracer(invocation, abbreviated)
    snapshot = Snapshot.take(_folders(invocation), [invocation.places.tmp or b"/tmp"])
    argv, executable, streams = invocation.argv, invocation.executable, invocation.streams

    def begins(pid: int, started_ns: int) -> Meanwhile | None:
        """What strace tells is only understood when all of it is there."""
        meanwhile = Meanwhile(partial(_setting, invocation, pid, started_ns), snapshot)
        return meanwhile if isinstance(tracer, native.Native) else None

    return snapshot, run_traced(argv, executable, invocation.environ, streams, tracer, begins=begins)


def observe(
    invocation: Invocation,
    function: DigestFunction,
    snapshot: Snapshot,
    trace: Trace,
    known: dict[bytes, tuple[os.stat_result, str]],
    digests: DigestCache | None = None,
) -> Traced:
    """Conclude what a run depended on.

    `known`: digests taken just before it, by path, which prove content that it destroyed.
    """
    streams = invocation.streams
    live, kept = LiveView(function, digests), _kept(trace)
    earlier = EarlierView(snapshot, live, known, digests, trace.started_ns, kept)
    run = _read(trace, _setting(invocation, trace.pid, trace.started_ns), earlier)
    run.processes.programs[0].argv = invocation.argv
    for subject in invocation.searched:
        run.subjects.setdefault(subject, None)
    recorded = streams.finish(run.writes)
    _note_streams(invocation, run.subjects, recorded)
    texts = [b"".join(source.chunks()) for source in (recorded.stdout, recorded.stderr)]
    _note_variables(invocation, run, texts)
    relaxing = Relaxing(invocation, texts, function)
    around = invocation.surroundings(function)
    around.listings = {}
    seen = conclude(run, earlier, around, relaxing.relax)
    trace.close()
    seen.reasons += clock_reasons(run, seen.outputs, invocation.environ)
    seen.reasons += _trace_reasons(trace, recorded, snapshot)
    seen.reasons += _stream_reasons(invocation, seen)
    return Traced(trace, seen, recorded, earlier, around.listings)


def _setting(invocation: Invocation, pid: int, started_ns: int) -> Setting:
    places = invocation.places
    return Setting(
        pid,
        places.root,
        invocation.cwd,
        invocation.umask,
        os.geteuid(),
        os.getegid(),
        invocation.streams.standing(),
        invocation.outputs,
        invocation.options.mtime,
        started_ns,
        invocation.options.pid_namespace,
        places.sources,
        tuple(place for place in (places.home, places.tmp, *(tree for _, tree in places.trees)) if place),
    )


def _read(trace: Trace, setting: Setting, earlier: EarlierView) -> Run:
    """Read what the run did, as far as that was not done while it went on."""
    if isinstance(trace.reading, Meanwhile):
        run = trace.reading.finish(trace.events, setting, earlier)
        if run is not None:
            return run
        earlier.problems.clear()
    return read_events(trace.events, setting, earlier)


def _kept(trace: Trace) -> dict[tuple[int, ...], bytes]:
    """Where the tracer holds content that was destroyed, by what told the file apart when it was first held.

    Of a file that is held twice, itself and later a copy of it, the copy counts: the file was changed since.
    """
    first: dict[tuple[int, ...], tuple[int, ...]] = {}
    return {first.setdefault(held.identity[:2], held.identity): held.place for held in trace.secured}


def _tracer(invocation: Invocation, abbreviated: tuple[str, ...]) -> Tracer:
    """The tracer that was asked for; raise TracerUnavailable if it is not there.

    Reads and writes are traced only where a descriptor of the caller's could be meant. Only strace tells structures
    whole.
    """
    kinds, wanted = invocation.streams.kinds, invocation.options.tracer
    inherited = any(number > 2 for number in invocation.streams.standing())
    reads = inherited or kinds[0] not in ("null", "closed")
    writes = inherited or "file" in kinds[1:]
    if invocation.options.pid_namespace:
        from pytrace_exec.tracer.namespace import Launch

        return native.Native(reads, writes, everything=not abbreviated, launch=Launch())
    if wanted == "native" or (wanted == "auto" and abbreviated and native.is_built()):
        inside = not invocation.options.stops_only
        return native.Native(reads, writes, everything=not abbreviated, inside=inside)
    from pytrace_exec.tracer.strace import Detail, Strace, find_strace

    detail = Detail(untraced(reads, writes), abbreviated=abbreviated, moving=READS | WRITES | HARMLESS)
    try:
        return Strace(find_strace(os.environb.get(b"PATH", b"/bin:/usr/bin")), detail)
    except TracerUnavailable:
        if wanted == "auto" and native.is_built():
            return native.Native(reads, writes, everything=True)
        raise


def _folders(invocation: Invocation) -> list[bytes]:
    root = invocation.places.root
    outside = [place for place in invocation.outputs if not place.startswith(root.rstrip(b"/") + b"/")]
    return [root, *(place if os.path.isdir(place) else os.path.dirname(place) for place in outside)]


def _note_streams(invocation: Invocation, subjects: dict[Subject, Call | None], recorded: Recorded) -> None:
    """The kind of an output is a fact when its bytes could not be seen, or when two outputs are one place."""
    for number in (1, 2):
        if recorded.kinds[number] in ("null", "closed", "device"):
            subjects.setdefault(Subject("stream", f"kind {number}"), None)
    if recorded.merged and recorded.segments:
        subjects.setdefault(Subject("stream", "kind 2"), None)
    if invocation.options.stdin:
        subjects.setdefault(Subject("stream", "stdin"), None)


def _note_variables(invocation: Invocation, run: Run, texts: list[bytes]) -> None:
    """A varying variable that left a trace of having been read is a fact."""
    made = (folder.path() + b"/" + name for folder, name in run.world.changes.values())
    results = [*texts, *(read_text(path) for path in made if under(path, invocation.places.root))]
    for subject in variable_subjects(run, invocation.environ, invocation.options.env, results):
        run.subjects.setdefault(subject, None)


def _trace_reasons(trace: Trace, recorded: Recorded, snapshot: Snapshot) -> list[Reason]:
    reasons = [Reason(STREAM_PROBLEMS[problem]) for problem in recorded.problems]
    if trace.left_running:
        reasons.append(Reason("left_running", pid=trace.left_running[0]))
    elif not trace.complete:
        reasons.append(Reason("incomplete", (trace.problem or "").encode()))
    if not snapshot.complete:
        reasons.append(Reason("too_many_paths"))
    if os.WIFSIGNALED(trace.status):
        reasons.append(Reason("signal"))
    elif os.WEXITSTATUS(trace.status):
        reasons.append(Reason("exit_status"))
    return reasons


def _stream_reasons(invocation: Invocation, seen: Observations) -> list[Reason]:
    """A file on standard output or error that the run looked at as well holds what the run itself wrote."""
    reasons = []
    for number, standing in invocation.streams.standing().items():
        if standing.kind == "file" and number in (1, 2) and standing.path is not None:
            looked = any(
                standing.path in subject.paths and subject.kind not in ("order", "change") for subject in seen.values
            )
            changed = any(standing.path == output.path for output in seen.outputs)
            if looked or changed:
                reasons.append(Reason("stream_is_input", standing.path))
        elif standing.kind == "pipe" and number == 0 and seen.run.stdin_read and not invocation.options.stdin:
            reasons.append(Reason("pipe_read"))
        elif standing.kind in ("socket", "tty") and number == 0 and seen.run.stdin_read:
            reasons.append(Reason("terminal_read" if standing.kind == "tty" else "pipe_read"))
    return reasons


def store_result(look_up: LookUp, traced: Traced, stdin_moved: int | None) -> tuple[Digest | None, list[Reason]]:
    """Store what was seen unless there is a reason not to; return the result's key and the reasons."""
    invocation = look_up.invocation
    options, values = invocation.options, traced.seen.values
    reasons = allowed_reasons(options, traced.seen.reasons)
    if reasons:
        return None, reasons
    if options.mode == "readonly":
        return None, [Reason("readonly")]
    if not look_up.cache.writable:
        return None, [Reason("store_read_only")]
    for subject in terms_of(options, traced.seen.reasons):
        values[subject] = value_of(subject, look_up.view, look_up.around)
    recording = Recording(invocation, look_up.cache, traced.seen, traced.earlier)
    try:
        effects = recording.effects(traced.recorded, os.waitstatus_to_exitcode(traced.status), stdin_moved)
        listings = _listings(traced)
        key = store(look_up, values, recording.produced(), effects, traced.recorded, listings, traced.ran)
    except Unstorable as error:
        return None, [Reason(error.code, error.path)]
    except OutOfSpace:
        return None, [Reason("store_full")]
    except ReadOnlyStore:
        return None, [Reason("store_read_only")]
    except (StoreError, BlobMissing, CacheFailed, OSError) as error:
        return None, [Reason("store_failed", str(error).encode())]
    return key.digest, []


def _listings(traced: Traced) -> dict[Digest, bytes]:
    """What stood in the directories that the run read, as far as it is small."""
    found: dict[Digest, bytes] = {}
    room = MAX_LISTINGS
    for subject, value in traced.seen.values.items():
        data = traced.listings.get(value) if subject.kind == "listing" else None
        if data and len(data) <= room and (digest := Digest.parse(value.decode())) not in found:
            found[digest] = data
            room -= len(data)
    return found


def known_before(look_up: LookUp) -> dict[bytes, tuple[os.stat_result, str]]:
    """Digests taken while looking up, of what earlier runs changed and of what the command names.

    They prove content that this run destroys; not of a file so young that a change might not show.
    """
    view, invocation = look_up.view, look_up.invocation
    paths = {path for _, path_set, _ in look_up.tried for path in path_set.produced}
    words = (word for argument in invocation.argv for word in re.split(_WORDS, argument))
    paths |= {os.path.normpath(os.path.join(invocation.cwd, word)) for word in words if word and b"\0" not in word}
    for path in paths:
        found = view.lstat(path) if under(path, invocation.places.root) else ""
        if not isinstance(found, str) and found.st_size <= MAX_KNOWN:
            value_of(Subject("content", BYTECODE if source_of(path) else "", path), view, look_up.around)
    latest = look_up.begun_ns - GRANULE_NS
    return {path: known for path, known in view.digests.items() if known[0].st_ctime_ns < latest}


_WORDS = rb"[\s;|&<>()'\"=]+"


MAX_LISTINGS = 1 << 20
"""Bytes of directories' names that are kept of one run, only to tell later what came and went."""

MAX_KNOWN = 64 << 20
"""Size of the largest file that is hashed only because the command may be about to destroy it."""

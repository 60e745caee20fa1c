# SPDX-License-Identifier: Apache-2.0
"""Listing and searching a store of many actions, beside an empty store and a bare interpreter."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import attrs

from bench.report import Table, seconds, spread
from bench.timing import Spread
from bench.workloads import installed
from pytrace_cas.catalogue import Catalogue
from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.reapi import ActionResult, OutputFile
from pytrace_cas.recorded.effect_entries import File
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects
from pytrace_cas.recorded.places import Places
from pytrace_cas.recorded.subjects import Subject
from pytrace_cas.store import Store
from pytrace_exec.keys.messages import make_command, strong_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

ACTIONS, QUICK_ACTIONS = 100_000, 300
ROUNDS, QUICK_ROUNDS = 9, 1
SYSTEM, PROJECT, ABSENT = 120, 40, 60
"""Headers that every action reads, those of its module, and names that it looked for in vain."""
MODULES = 200
MEBIBYTE = 1 << 20
_AT_ONCE = 256
_PLACES = Places(b"/home/bench/project", b"/home/bench", b"/tmp/bench")


@attrs.frozen
class Made:
    """One action: its key with the blobs it is made of, and its result."""

    digest: Digest
    blobs: dict[Digest, bytes]
    result: ActionResult


def measure_all(folder: Path, quick: bool, begins: Callable[[str], None]) -> Iterator[Table]:
    """Fill one store in bulk, leave another empty, and ask both the same."""
    count = QUICK_ACTIONS if quick else ACTIONS
    begins(f"loading {count} actions")
    stores = {"empty": folder / "empty", "large": folder / "large"}
    for store, number in ((stores["empty"], 0), (stores["large"], count)):
        load(store, number)
    begins("making the catalogue")
    took, size = _catalogued(stores["large"])
    yield compare(stores, folder, count, f"made in {seconds(took)}, {size / MEBIBYTE:.0f} MiB", quick, begins)


def compare(
    stores: dict[str, Path], folder: Path, count: int, made: str, quick: bool, begins: Callable[[str], None]
) -> Table:
    """Ask both stores the same; `made` says of the catalogue what it cost."""
    known = _last(stores["large"])
    source = f"module{(count - 1) % MODULES}/file{count - 1:06}.c"
    asked = {
        "interpreter": (sys.executable, "-c", "pass"),
        "ls": ("ls",),
        "ls --sort size": ("ls", "--sort", "size"),
        "ls --sort hits": ("ls", "--sort", "hits"),
        "ls --filter reads=(glob)": ("ls", "--filter", f"reads=module{(count - 1) % MODULES}/*.h"),
        "find (a source)": ("find", source),
        "find (a header of all)": ("find", "/usr/include/h0.h"),
        "show (prefix)": ("show", known),
    }
    rows = []
    for name, words in asked.items():
        begins(name)
        empty, large = (_cells(words, stores[which], folder, quick) for which in ("empty", "large"))
        rows.append((name, *empty, *large))
    columns = ("command", "empty store", "cpu", "memory", "large store", "cpu", "memory")
    return Table(f"A store of {count:,} actions (catalogue {made}; memory: peak RSS)", columns, rows)


def load(folder: Path, count: int) -> None:
    """Fill a store with traced compilations in the wrapper's own forms."""
    with Store.open(os.fsencode(folder), max_size=1 << 40) as store:
        for start in range(0, count, _AT_ONCE):
            made = [compilation(number) for number in range(start, min(start + _AT_ONCE, count))]
            blobs = {digest: data for one in made for digest, data in one.blobs.items()}
            store.put_many(BLAKE3, blobs.items())
            for one in made:
                needs = [*one.result.needs(), *one.blobs]
                store.put_action_result(BLAKE3, "", one.digest, one.result.encode(), needs)


_OF_MODULE: dict[int, Made] = {}


def compilation(number: int) -> Made:
    """One action: that of its module's first file, with its own names (of one length) and digests in place of those.

    Composing a key of 220 facts takes the wrapper's code milliseconds, and a hundred thousand of them minutes.
    """
    module = number % MODULES
    if module not in _OF_MODULE:
        _OF_MODULE[module] = composed(module)
    first = _OF_MODULE[module]
    return first if number == module else _renamed(first, module, number)


def composed(number: int) -> Made:
    """One action, composed as the wrapper does."""
    module = number % MODULES
    root = _PLACES.root + b"/module%d/" % module
    source, target = b"file%06d.c" % number, b"file%06d.o" % number
    command = make_command((b"gcc", b"-c", source, b"-o", target), {}, _PLACES, root.rstrip(b"/"), 0o22, 0)
    paths = [b"/usr/include/h%d.h" % header for header in range(SYSTEM)]
    paths += [root + b"h%d.h" % header for header in range(PROJECT)]
    values = {Subject("content", "", path): _value(path) for path in (*paths, root + source)}
    values |= {Subject("error", "", root + b"absent%d.h" % name): b"ENOENT" for name in range(ABSENT)}
    values[Subject("target", "644", root + target)] = b"plain"
    key = strong_key(command, values, b"", _PLACES, BLAKE3)
    effects = Effects([File(b"module%d/" % module + target, 0o644, BLAKE3.of(target))]).encode()
    files = [(f"module{module}/{target.decode()}", BLAKE3.of(target)), (EFFECTS_PATH, BLAKE3.of(effects))]
    result = ActionResult(output_files=[OutputFile(path=path, digest=digest) for path, digest in files])
    # What others hang on comes first, as in `key.blobs`.
    blobs = {BLAKE3.of(target): target, BLAKE3.of(effects): effects, **key.blobs}
    return Made(key.digest, blobs, result)


def _renamed(first: Made, old: int, new: int) -> Made:
    """The same with another number in names, and then with other digests wherever one of a changed blob stands."""
    changed = {b"file%06d." % old: b"file%06d." % new, _hash_of_source(old): _hash_of_source(new)}

    def replaced(data: bytes) -> bytes:
        for before, after in changed.items():
            data = data.replace(before, after)
        return data

    blobs = {}
    for digest, data in first.blobs.items():
        other = replaced(data)
        named = BLAKE3.of(other)
        if named != digest:
            changed[digest.hash.encode()] = named.hash.encode()
        blobs[named] = other
    action = Digest(replaced(first.digest.hash.encode()).decode(), first.digest.size_bytes)
    return Made(action, blobs, ActionResult.decode(replaced(first.result.encode())))


def _hash_of_source(number: int) -> bytes:
    source = _PLACES.root + b"/module%d/file%06d.c" % (number % MODULES, number)
    return BLAKE3.of(source).hash.encode()


def _value(data: bytes) -> bytes:
    return str(BLAKE3.of(data)).encode()


def _catalogued(folder: Path) -> tuple[float, int]:
    """Seconds that the first answer takes, and bytes of the catalogue."""
    began = time.monotonic()
    with Store.open(os.fsencode(folder)) as store, Catalogue(store) as catalogue:
        catalogue.refresh()
    return time.monotonic() - began, (folder / "catalogue.sqlite").stat().st_size


def _last(folder: Path) -> str:
    with Store.open(os.fsencode(folder)) as store, Catalogue(store) as catalogue:
        return catalogue.resolve("latest").digest.hash[:16]


_MEASURE = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""
"""Asked by a small process: what is forked begins with its parent's figure."""


def _cells(words: Sequence[str], store: Path, folder: Path, quick: bool) -> tuple[str, str, str]:
    """Milliseconds of a command by the clock and of processors, and the most memory that it had."""
    command = words if words[0] == sys.executable else (installed("pytrace"), *words, "--dir", str(store))
    root = folder / "project"
    root.mkdir(exist_ok=True)
    (root / "WORKSPACE").touch()
    taken, used = [], []
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        taken.append((time.monotonic() - began) * 1000)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
    asked = subprocess.run([sys.executable, "-c", _MEASURE, *command], cwd=root, capture_output=True, check=True)
    cpu = f"{statistics.median(used):.0f} ms"
    return f"{spread(Spread.of(taken))} ms", cpu, f"{(int(asked.stdout) << 10) / MEBIBYTE:.0f} MiB"

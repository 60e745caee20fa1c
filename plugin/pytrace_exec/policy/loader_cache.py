# SPDX-License-Identifier: Apache-2.0
"""The dynamic loader's cache counts by the libraries that were asked for (DESIGN 4.3, values by meaning).

Every installation of a package writes it anew. The loader reads it as a program starts: the program's first open of it,
before the program has opened anything but libraries. Only if nobody in the run read it in any other way does it count
by what it says of the names that were looked at.
"""

from __future__ import annotations

import os

from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe.facts import LIBRARIES
from pytrace_exec.observe.loader_cache import PATH, entries_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.processes import Program
    from pytrace_exec.observe.run import Run
    from pytrace_exec.tracer.events import Value

LOADER = "ld-linux"
"""How the names of the loaders begin that read this cache."""

DEFAULT_FOLDERS = "/lib /usr/lib /lib64 /usr/lib64"
"""Where the loader looks for what the cache does not have, beside the folders that the cache names."""

_DEFAULT_FOLDERS = [folder.encode() for folder in DEFAULT_FOLDERS.split()]


def goes_on_loading(path: Value, error: str | None) -> bool:
    """Whether a program that is being loaded goes on after an open: not once the C library itself was found."""
    if not isinstance(path, bytes):
        return False
    name = path.rpartition(b"/")[2]
    return path == PATH or (b".so" in name and not (name.startswith(b"libc.so") and error is None))


def is_loader(interpreter: bytes) -> bool:
    """Whether an interpreter is the loader whose cache this is."""
    return os.path.basename(interpreter).startswith(LOADER.encode())


def consults(program: Program, path: bytes | None) -> bool:
    """Whether it is the loader that opens a path now, to find the program's libraries."""
    if path != PATH or not program.loading:
        return False
    program.loads(False, program.own)
    return True


def relax(run: Run) -> None:
    """Let the cache count by what it says of the names that may have been asked for, if only loaders read it."""
    exact = Subject("content", "", PATH)
    if PATH not in run.meant or PATH in run.read_plainly or exact not in run.subjects:
        return
    names = _asked(run)
    if names is None:
        return
    run.subjects[Subject("content", LIBRARIES + names.hex(), PATH)] = run.subjects.pop(exact)
    looked = run.subjects.pop(Subject("status", "", PATH), None)
    run.subjects.setdefault(Subject("status", "mode", PATH), looked)


def _asked(run: Run) -> bytes | None:
    """The names that the loader may have asked for, each ended by NUL; None if the cache cannot be read."""
    try:
        with open(PATH, "rb") as file:
            entries = entries_of(file.read())
    except OSError:
        return None
    if entries is None:
        return None
    places = {os.path.dirname(entry.path) for entry in entries}.union(_DEFAULT_FOLDERS)
    folders = {os.path.realpath(place) for place in places}
    paths = {path for subject in run.subjects for path in subject.paths}
    seen = {os.path.basename(path) for path in paths}
    names = {entry.name for entry in entries if entry.name in seen or entry.path in paths}
    names.update(os.path.basename(path) for path in paths if _leads_into(os.path.dirname(path), folders))
    return b"".join(name + b"\0" for name in sorted(names - {b""}))


def _leads_into(folder: bytes, folders: set[bytes]) -> bool:
    """Whether the loader looks there: in one of its folders, or in one for some processors below it."""
    above, found, _ = folder.partition(b"/glibc-hwcaps/")
    return above in folders if found else folder in folders

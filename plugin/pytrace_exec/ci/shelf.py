# SPDX-License-Identifier: Apache-2.0
"""Where records are kept: in any REAPI cache, in lists by project, workflow and scope.

A list is one entry of the action cache with the records as output files (`cache.candidates`), the latest first, at
most 32. What must be counted or withdrawn has entries of its own, which nothing ever has to overwrite.
"""

from __future__ import annotations

import json
import os

from pytrace_cas.digest import Digest
from pytrace_cas.reapi import Action, ActionResult, Command, Directory, OutputFile
from pytrace_cas.store import StoreError
from pytrace_exec.cache.candidates import lists, put_first
from pytrace_exec.cache.errors import BlobMissing, CacheFailed
from pytrace_exec.ci.record import MalformedRecord, Record
from pytrace_exec.keys.messages import Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_exec.cache.interface import Tier

SCHEME = "2"
"""Version of the records, raised for the same causes as that of keys (`pytrace_cas.recorded.scheme`)."""
_RACES = 4
"""How often a record is put into its list, when other runs write it at the same moment."""
_PROGRAM = "pytrace-ci"


class ShelfTrouble(Exception):
    """The cache cannot be asked or written; the message says why."""


class Job:
    """Whose records are meant; records are read from the scopes in `read` and written to `write`."""

    __slots__ = ("project", "read", "workflow", "write")

    def __init__(self, workflow: str, project: str = "", read: tuple[str, ...] = ("",), write: str = "") -> None:
        self.workflow = workflow
        self.project = project
        self.read = read
        self.write = write


class Stored:
    """A record and its digest."""

    __slots__ = ("digest", "record")

    def __init__(self, digest: Digest, record: Record) -> None:
        self.digest = digest
        self.record = record


class Found:
    """The records of a job, and what was listed but could not be read, each with why."""

    __slots__ = ("records", "unread")

    def __init__(self, records: tuple[Stored, ...], unread: tuple[str, ...]) -> None:
        self.records = records
        self.unread = unread


class Shelf:
    """Records in one cache; every method raises `ShelfTrouble`. `folder`: of a local store, where writers can wait."""

    def __init__(self, tier: Tier, folder: bytes | None = None) -> None:
        self._tier = tier
        self._folder = folder

    def records(self, job: Job) -> Found:
        """Every record of a job that still stands."""
        found, unread = dict[Digest, Stored](), list[str]()
        with _troubles():
            for scope in dict.fromkeys(job.read):
                for listed in lists(self._tier, self._slots("records", job.project, job.workflow, scope)):
                    for digest in listed.path_sets():
                        if digest not in found:
                            self._take(digest, job, found, unread)
        return Found(tuple(found.values()), tuple(unread))

    def _take(self, digest: Digest, job: Job, found: dict[Digest, Stored], unread: list[str]) -> None:
        try:
            record = Record.decode(self._tier.get(digest))
        except BlobMissing:
            unread.append(f"record {digest.hash[:12]} is gone from the cache")
            return
        except MalformedRecord as error:
            unread.append(f"record {digest.hash[:12]}: {error}")
            return
        if (record.workflow, record.project) != (job.workflow, job.project) or record.scope not in job.read:
            unread.append(f"record {digest.hash[:12]} is another job's")
        elif not self._is_withdrawn(digest):
            found[digest] = Stored(digest, record)

    def store(self, job: Job, record: Record) -> Digest:
        """Keep a record, first in its list."""
        data = record.encode()
        digest = self._tier.function.of(data)
        with _troubles():
            self._refuse_unwritable()
            with _locked(self._folder):
                self._tier.put({digest: data})
                taken = any(self._is_listed(job, digest) for _ in range(_RACES))
                name = json.dumps([job.workflow, job.write]).encode()
                named = self._tier.function.of(name)
                self._tier.put({named: name})
                put_first(self._tier, self._slots("jobs", job.project), named, named)
            if not taken:
                raise ShelfTrouble("the cache did not take the record")
        return digest

    def _is_listed(self, job: Job, digest: Digest) -> bool:
        """Put a record first in its list; False when another run has written the list meanwhile, or nobody may."""
        slots = self._slots("records", job.project, job.workflow, job.write)
        put_first(self._tier, slots, digest, digest)
        return digest in {one for found in lists(self._tier, slots) for one in found.path_sets()}

    def jobs(self, project: str) -> list[tuple[str, str]]:
        """Workflow and scope of the jobs of a project that were recorded, the latest first, at most 32."""
        found = []
        with _troubles():
            for listed in lists(self._tier, self._slots("jobs", project)):
                for digest in listed.path_sets():
                    try:
                        workflow, scope = json.loads(self._tier.get(digest))
                    except (BlobMissing, ValueError, TypeError):
                        continue
                    found.append((str(workflow), str(scope)))
        return list(dict.fromkeys(found))

    def withdraw(self, digest: Digest) -> None:
        """Have a record serve no more: its job failed where it says that it succeeds."""
        with _troubles():
            self._refuse_unwritable()
            self._mark(self._key("withdrawn", digest.hash))

    def _is_withdrawn(self, digest: Digest) -> bool:
        return self._tier.get_result(self._key("withdrawn", digest.hash).digest) is not None

    def skips(self, digest: Digest, up_to: int) -> int:
        """How often a record let its job be skipped, as far as `up_to`."""
        with _troubles():
            return next((n for n in range(up_to) if not self._is_marked("skip", digest.hash, n)), up_to)

    def count_skip(self, digest: Digest, up_to: int) -> bool:
        """Note that a record let its job be skipped once more; False where that was `up_to` times already.

        In a cache that is no local store, runs that count at the same moment may count as one.
        """
        with _troubles():
            self._refuse_unwritable()
            with _locked(self._folder):
                number = self.skips(digest, up_to)
                if number == up_to:
                    return False
                if not self._mark(self._key("skip", digest.hash, str(number))):
                    raise ShelfTrouble("the cache takes no writes, so that skips cannot be counted")
        return True

    def _is_marked(self, *what: object) -> bool:
        return self._tier.get_result(self._key(*map(str, what)).digest) is not None

    def set_note(self, *words: str, note: dict[str, object]) -> None:
        """Keep a note under some words, for later steps of the same job."""
        data = json.dumps(note, sort_keys=True).encode()
        digest = self._tier.function.of(data)
        with _troubles():
            self._refuse_unwritable()
            with _locked(self._folder):
                self._tier.put({digest: data})
                put_first(self._tier, self._slots("note", *words), digest, digest)

    def note(self, *words: str) -> dict[str, object] | None:
        """The latest note under some words, by its `time`."""
        notes = []
        with _troubles():
            for listed in lists(self._tier, self._slots("note", *words)):
                for digest in listed.path_sets():
                    try:
                        found = json.loads(self._tier.get(digest))
                    except (BlobMissing, ValueError):
                        continue
                    if isinstance(found, dict) and isinstance(found.get("time"), int):
                        notes.append(found)
        return max(notes, key=lambda note: int(note["time"]), default=None)

    def _refuse_unwritable(self) -> None:
        if not self._tier.writable:
            raise ShelfTrouble("the cache takes no writes from here")

    def _mark(self, key: Key) -> bool:
        data = b"pytrace ci mark\n"
        digest = self._tier.function.of(data)
        self._tier.put({**key.blobs, digest: data})
        return self._tier.put_result(key.digest, ActionResult(output_files=[OutputFile(path="mark", digest=digest)]))

    def _slots(self, *words: str) -> Callable[[int], Key]:
        return lambda slot: self._key(*words, f"slot {slot}")

    def _key(self, *words: str) -> Key:
        """The digest of an `Action` whose command line says what is kept there."""
        function = self._tier.function
        command = Command(arguments=[_PROGRAM, SCHEME, *words]).encode()
        folder = Directory().encode()
        action = Action(command_digest=function.of(command), input_root_digest=function.of(folder)).encode()
        return Key(function.of(action), {function.of(data): data for data in (command, folder, action)})


class _locked:
    """Has other writers of a local store wait: a list is read, united and written, and nothing may come between."""

    def __init__(self, folder: bytes | None) -> None:
        self._folder = folder
        self._file = -1

    def __enter__(self) -> None:
        if self._folder is not None:
            import fcntl  # most checks write nothing, on any system

            self._file = os.open(self._folder, os.O_RDONLY)
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)


class _troubles:
    """Turns whatever a cache raises into `ShelfTrouble`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, StoreError | CacheFailed | BlobMissing | OSError):
            raise ShelfTrouble(str(error)) from error

# SPDX-License-Identifier: Apache-2.0
"""The question that the verbs of `pytrace ci` ask, the cache with the records, and how an answer is worded.

On the path of a check: without click.
"""

from __future__ import annotations

import os
import time

from pytrace_cas.digest import function_named
from pytrace_cas.json_fields import text_fields
from pytrace_cas.store import Store, StoreError
from pytrace_exec.cache.errors import CacheFailed
from pytrace_exec.cache.local import LocalCache
from pytrace_exec.ci.decision import Subject
from pytrace_exec.ci.objects import GitTrouble
from pytrace_exec.ci.provider import FORCED, Surroundings, code, listed, surroundings
from pytrace_exec.ci.runner import fingerprint
from pytrace_exec.ci.shelf import Job, Shelf, ShelfTrouble
from pytrace_exec.ci.verdict import Terms
from pytrace_exec.cli.exit_status import NOT_FOUND, USAGE
from pytrace_exec.cli.failed import Failed
from pytrace_exec.store_opening import open_folder, store_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytrace_exec.ci.objects import Objects
    from pytrace_exec.ci.shelf import Stored
    from pytrace_exec.ci.verdict import Verdict
    from pytrace_exec.options import Options


class Asked:
    """What the options say, of which the verbs have no need themselves."""

    def __init__(
        self,
        workflow: str,
        project: str,
        read_scopes: tuple[str, ...],
        write_scope: str = "",
        *,
        variables: tuple[str, ...] = (),
        text: str | None = None,
        outside: bool = False,
        definitions: tuple[str, ...] = (),
        branch: str | None = None,
        default_branch: str | None = None,
        max_age: float | None = None,
        max_skips: int | None = None,
        force: bool = False,
    ) -> None:
        self.workflow = workflow
        self.project = project
        self.read_scopes = read_scopes
        self.write_scope = write_scope
        self.variables = variables
        self.text = text
        self.outside = outside
        self.definitions = definitions
        self.branch = branch
        self.default_branch = default_branch
        self.max_age = max_age
        self.max_skips = max_skips
        self.force = force

    @property
    def job(self) -> Job:
        """Whose records are meant."""
        return Job(self.workflow, self.project, self.read_scopes or (self.write_scope,), self.write_scope)

    @property
    def around(self) -> Surroundings:
        """What the CI system says, less what the user says otherwise."""
        found = surroundings(os.environ)
        definition = tuple(map(_in_repository, self.definitions)) or found.definition
        return Surroundings(
            self.branch or found.branch, self.default_branch or found.default, found.run, definition, found.split
        )

    def terms(self, objects: Objects, commit: bytes) -> Terms:
        """What decides besides the records."""
        forced = "--force" if self.force else None
        if forced is None and FORCED in objects.message(commit).lower():
            forced = f"the commit's message says {FORCED}"
        around = self.around
        return Terms(around.branch or objects.branch(), around.default, self.max_skips, forced)

    def subject(self, objects: Objects, revision: str, **more: Any) -> Subject:
        """The commit that is asked about, on this machine; raise `GitTrouble`."""
        commit, tree = objects.commit(revision)
        workdir, around = objects.workdir, self.around
        return Subject(
            objects, commit, tree, fingerprint(self.text, os.environ), os.environ, time.time(),
            _branch_at(objects, commit),
            os.path.realpath(workdir) if workdir else None,
            definition=around.definition, variables=tuple(dict.fromkeys((*self.variables, *around.split))),
            outside=self.outside, max_age=self.max_age,
            **more,
        )  # fmt: skip


def _branch_at(objects: Objects, commit: bytes) -> str | None:
    """The branch that the job reads the name of, if it is to run in this work tree as it is."""
    try:
        there = bool(objects.workdir) and objects.commit("HEAD")[0] == commit
    except GitTrouble:
        return None
    return objects.branch() if there else None


def _in_repository(name: str) -> bytes:
    path = os.path.normpath(os.fsencode(name))
    if path.startswith((b"/", b"../")) or path in (b".", b".."):
        raise Failed(f"--definition {name}: a path of the repository, from its top folder", USAGE)
    return path


def shelf_of(options: Options, make: bool) -> Shelf:
    """The records in the cache that options name; raise `ShelfTrouble`. `make`: a local store if need be."""
    try:
        if options.remote is not None:
            from pytrace_exec.ci.direct import DirectTier

            return Shelf(DirectTier(options))
        folder = store_folder(options, os.environb)
        if folder is None:
            raise ShelfTrouble("no cache: HOME is not set; --dir or --remote names one")
        store = open_folder(folder, options.max_size) if make else _existing(folder)
        cache = LocalCache(store, function_named(options.digest_function or "blake3"), options.instance_name)
        return Shelf(cache, folder)
    except (StoreError, CacheFailed, OSError) as error:
        raise ShelfTrouble(str(error)) from None


def _existing(folder: bytes) -> Store:
    """A store that is there already: a question makes none."""
    return open_folder(folder) if os.path.isdir(folder) else Store.open(folder, read_only=True)


def find_record(shelf: Shelf, job: Job, wanted: str) -> Stored:
    """The record of a job whose digest begins so; raise `Failed`, or `ShelfTrouble`."""
    found = [one for one in shelf.records(job).records if str(one.digest).startswith(wanted)]
    if not found:
        raise Failed(f"{job.workflow!r} has no record {wanted}; pytrace ci ls shows them", NOT_FOUND)
    if len(found) > 1:
        raise Failed(f"{len(found)} records begin with {wanted}; give more of the digest", USAGE)
    return found[0]


TROUBLES = (GitTrouble, ShelfTrouble)


def lines_of(verdict: Verdict, workflow: str) -> list[str]:
    """A verdict for people: the answer, then every reason, the nearest record's first."""
    head = f"{'skip' if verdict.skip else 'run'} {workflow}: {verdict.summary}"
    lines = [head, *(reason.message for reason in verdict.general[1:]), *verdict.notes]
    for stored, reasons in () if verdict.skip else verdict.misses:
        lines.append(f"  {where(stored.record.branch, stored.record.commit, stored.record.run)}:")
        lines += [f"    {' '.join(reason.message.split())}" for reason in reasons]
    return lines


def summary_of(verdict: Verdict, workflow: str) -> list[str]:
    """A verdict as Markdown for a summary page."""
    lines = [f"### {code(workflow)}: {'skipped' if verdict.skip else 'run'}", "", code(verdict.summary)]
    for stored, reasons in () if verdict.skip else verdict.misses:
        place = where(stored.record.branch, stored.record.commit, stored.record.run)
        lines += ["", f"Against {code(place)}:", "", *listed(reasons)]
    return lines


def where(branch: str, commit: bytes, run: str) -> str:
    """Where a record comes from."""
    return " ".join(word for word in (commit.hex()[:12], f"({branch})" if branch else "", run) if word)


def _readable(text: str) -> str:
    """Text with a sign in place of each byte that is no text."""
    return os.fsencode(text).decode("utf-8", "replace")


def json_of(verdict: Verdict) -> dict[str, Any]:
    """A verdict as an object."""

    def reasons(found: Any) -> list[dict[str, Any]]:
        return [{"code": one.code, "message": _readable(one.message), **text_fields("path", one.path)} for one in found]

    def record(stored: Any) -> dict[str, Any]:
        found = stored.record
        return {
            "digest": str(stored.digest), **text_fields("branch", os.fsencode(found.branch)),
            "commit": found.commit.hex(), "run": found.run, "time": int(found.time), "scope": found.scope,
            "paths": found.size(),
        }  # fmt: skip

    return {
        "skip": verdict.skip,
        "reason": _readable(verdict.summary),
        "by": record(verdict.by) if verdict.by is not None else None,
        "reasons": reasons(verdict.general),
        "records": [{**record(stored), "reasons": reasons(found)} for stored, found in verdict.misses],
        "notes": list(verdict.notes),
    }

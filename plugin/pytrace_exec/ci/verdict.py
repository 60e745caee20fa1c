# SPDX-License-Identifier: Apache-2.0
"""From all records of a job to one answer: skip, by which record; or run, and why each of them does not serve."""

from __future__ import annotations

from pytrace_exec.ci.decision import Judge, Reason
from pytrace_exec.ci.shelf import ShelfTrouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytrace_exec.ci.decision import Subject
    from pytrace_exec.ci.shelf import Job, Shelf, Stored


class Terms:
    """What decides besides the records: branches to be tried first, how often a record may serve, why to run anyway."""

    __slots__ = ("branch", "default", "forced", "max_skips")

    def __init__(
        self, branch: str = "", default: str = "main", max_skips: int | None = None, forced: str | None = None
    ) -> None:
        self.branch = branch
        self.default = default
        self.max_skips = max_skips
        self.forced = forced


class Verdict:
    """`by`: the record that allows the skip. `misses`: each other record with its reasons, the nearest first.

    `general`: reasons that are of no record. `matched`: records that would allow the skip if nothing else forbade it.
    """

    __slots__ = ("by", "general", "matched", "misses", "notes")

    def __init__(
        self,
        by: Stored | None,
        misses: tuple[tuple[Stored, tuple[Reason, ...]], ...] = (),
        general: tuple[Reason, ...] = (),
        matched: tuple[Stored, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> None:
        self.by = by
        self.misses = misses
        self.general = general
        self.matched = matched
        self.notes = notes

    @property
    def skip(self) -> bool:
        """Whether the job may be skipped."""
        return self.by is not None

    @property
    def summary(self) -> str:
        """The answer in one line."""
        if self.by is not None:
            record = self.by.record
            where = f" on {record.branch}" if record.branch else ""
            told = f", {record.run}" if record.run else ""
            return f"nothing that it read changed since {record.commit.hex()[:12]}{where} succeeded{told}"
        if self.general:
            return self.general[0].message
        reasons = self.misses[0][1]
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return f"{reasons[0].message}{more}"


def unknown(why: str) -> Verdict:
    """The answer when something keeps us from knowing: the job runs."""
    return Verdict(None, general=(Reason("unknown", why),))


def decide(shelf: Shelf, job: Job, subject: Subject, terms: Terms, all_of_them: bool = False) -> Verdict:
    """Hold every record of a job against a subject; `all_of_them`: also those after one that serves."""
    try:
        found = shelf.records(job)
        notes = tuple(found.unread)
        if not found.records:
            told = f": {'; '.join(notes)}" if notes else ""
            reason = Reason("no_record", f"no successful run of {job.workflow!r} is recorded{told}")
            return Verdict(None, general=(reason,), notes=notes)
        return _judge(shelf, ordered(found.records, terms), subject, terms, all_of_them, notes)
    except ShelfTrouble as error:
        return unknown(str(error))


def _judge(
    shelf: Shelf, records: Sequence[Stored], subject: Subject, terms: Terms, all_of_them: bool, notes: tuple[str, ...]
) -> Verdict:
    judge = Judge(subject)
    misses: list[tuple[Stored, tuple[Reason, ...]]] = []
    matched: list[Stored] = []
    by: Stored | None = None
    for stored in records:
        reasons = judge.reasons(stored.record)
        if not reasons:
            matched.append(stored)
            reasons = [] if by is not None or terms.forced is not None else _of_skips(shelf, stored, terms)
            if not reasons and by is None and terms.forced is None:
                by = stored
            if by is not None and not all_of_them:
                break
        if reasons:
            misses.append((stored, tuple(reasons)))
    misses.sort(key=lambda miss: len(miss[1]))
    general = (Reason("forced", terms.forced),) if terms.forced is not None else ()
    return Verdict(by, tuple(misses), general, tuple(matched), notes)


def _of_skips(shelf: Shelf, stored: Stored, terms: Terms) -> list[Reason]:
    if terms.max_skips is None:
        return []
    return [_worn(terms.max_skips)] if shelf.skips(stored.digest, terms.max_skips) >= terms.max_skips else []


def _worn(times: int) -> Reason:
    return Reason("max_skips", f"it served {times} times, which is as often as it may")


def count(shelf: Shelf, verdict: Verdict, terms: Terms) -> Verdict:
    """Count the skip where it must be counted; when it cannot be, the job runs."""
    if verdict.by is None or terms.max_skips is None:
        return verdict
    try:
        counted = shelf.count_skip(verdict.by.digest, terms.max_skips)
    except ShelfTrouble as error:
        return unknown(f"--max-skips: {error}")
    # Others were skipped since the records were read.
    if counted:
        return verdict
    worn = (verdict.by, (_worn(terms.max_skips),))
    return Verdict(None, (worn, *verdict.misses), (), verdict.matched, verdict.notes)


def ordered(records: Sequence[Stored], terms: Terms) -> list[Stored]:
    """Records of the same branch first, then of the default one, then of any; each as they stood."""
    branches = [terms.branch, terms.default]
    return sorted(records, key=lambda one: branches.index(one.record.branch) if one.record.branch in branches else 2)

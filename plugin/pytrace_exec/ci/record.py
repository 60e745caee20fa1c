# SPDX-License-Identifier: Apache-2.0
"""A record: what one successful run of a job depended on, in the repository and around it.

Canonical form: a line with the version, then raw LZMA2 over a line of JSON and the lists of facts, one a part. A part
is the repository itself or one of its submodules: the gitlink that led to it, the facts inside, one digest over their
values, and two bytes of a digest for each sixteen of them, from which a reason is told when the recorded tree is not
at hand.
"""

from __future__ import annotations

import json
import os
from binascii import a2b_base64, b2a_base64

from pytrace_exec.ci import path_list
from pytrace_exec.ci.facts import with_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from pytrace_exec.ci.facts import Fact, Values

VERSION = b"pytrace ci record 1\n"
GROUP = 16
"""Facts that share one hint."""
_HINT = 2
_LARGEST = 64 << 20


class MalformedRecord(ValueError):
    """Bytes that are no record this version reads."""


class Part:
    """What counts in the repository (`path` b"") or in the submodule at `path`: paths are relative to it.

    `commit` is the gitlink's (of the repository itself, the recorded commit), `tree` its tree, b"" when unknown.
    """

    __slots__ = ("commit", "digest", "facts", "hints", "path", "tree")

    def __init__(
        self, path: bytes, commit: bytes, tree: bytes, facts: tuple[Fact, ...], digest: bytes, hints: bytes
    ) -> None:
        self.path = path
        self.commit = commit
        self.tree = tree
        self.facts = facts
        self.digest = digest
        self.hints = hints

    @classmethod
    def of(cls, path: bytes, commit: bytes, tree: bytes, facts: Sequence[Fact], values: Values) -> Part:
        """What these facts are worth in a tree."""
        digest, hints = digests(facts, values)
        return cls(path, commit, tree, tuple(facts), digest, hints)


class Step:
    """One command of a job, and where it ran, relative to the repository.

    `command`: digest of its words; `vouched`: of what the user vouched for, empty if for nothing.
    """

    __slots__ = ("command", "folder", "name", "vouched")

    def __init__(self, name: str, command: str, folder: str, vouched: str = "") -> None:
        self.name = name
        self.command = command
        self.folder = folder
        self.vouched = vouched

    @classmethod
    def read(cls, told: Mapping[str, str]) -> Step:
        """The step of these fields; older records have what was vouched for after a `+` of the command."""
        command, _, vouched = told["command"].partition("+")
        return cls(**{"vouched": vouched, **told, "command": command})

    def told(self) -> dict[str, str]:
        """Its fields."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and self.told() == other.told()

    def __hash__(self) -> int:
        return hash((self.name, self.command, self.folder, self.vouched))


class Record:
    """What one successful run depended on, and where it came from.

    `time` in seconds since the epoch; `fingerprint` by name; `variables` and `files` (untracked inputs), `filtered`
    (tracked files that held something else than their blobs: line endings, LFS; what a sparse checkout left out;
    submodules that were not there; `.git`, where history was read: where that ends and what replaces it) and
    `outside` (files of the runner) as digests; `head` is the branch's name that the job could read, None when it did
    not look. `hosts`: peers it talked to; `max_age`: seconds after which it serves no more, None for ever. `made`:
    untracked paths that it left behind, a folder for all below, each with what tells it apart (`digest_of_left`);
    `untracked`: patterns of what it would have taken as inputs beside `files`.
    """

    __slots__ = (
        "branch", "files", "filtered", "fingerprint", "head", "hosts", "made", "max_age", "outside", "parts", "project",
        "run", "scope", "sparse", "steps", "time", "untracked", "variables", "workflow",
    )  # fmt: skip

    def __init__(
        self,
        workflow: str,
        project: str,
        scope: str,
        branch: str,
        run: str,
        time: float,
        parts: tuple[Part, ...],
        steps: tuple[Step, ...],
        fingerprint: Mapping[str, str],
        *,
        variables: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        outside: Mapping[str, str] | None = None,
        head: str | None = None,
        sparse: str = "",
        hosts: tuple[str, ...] = (),
        max_age: int | None = None,
        made: Mapping[str, str] | None = None,
        filtered: Mapping[str, str] | None = None,
        untracked: tuple[str, ...] = (),
    ) -> None:
        self.workflow = workflow
        self.project = project
        self.scope = scope
        self.branch = branch
        self.run = run
        self.time = time
        self.parts = parts
        self.steps = steps
        self.fingerprint = fingerprint
        self.variables = variables or {}
        self.files = files or {}
        self.outside = outside
        self.head = head
        self.sparse = sparse
        self.hosts = hosts
        self.max_age = max_age
        self.made = made or {}
        self.filtered = filtered or {}
        self.untracked = untracked

    @property
    def commit(self) -> bytes:
        """The commit that was tested."""
        return self.parts[0].commit

    @property
    def tree(self) -> bytes:
        """Its tree."""
        return self.parts[0].tree

    def size(self) -> int:
        """How many paths count."""
        return sum(len(part.facts) for part in self.parts)

    def with_files(self, files: Mapping[str, str]) -> Record:
        """The same with other untracked inputs."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return Record(**{**fields, "files": files})

    def encode(self) -> bytes:
        """Return the canonical form."""
        listed = [path_list.encode(part.facts) for part in self.parts]
        told: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        told["steps"] = [step.told() for step in self.steps]
        told["parts"] = [
            {
                "path": os.fsdecode(part.path),
                "commit": part.commit.hex(),
                "tree": part.tree.hex(),
                "digest": part.digest.hex(),
                "hints": b2a_base64(part.hints, newline=False).decode(),
                "bytes": len(data),
            }
            for part, data in zip(self.parts, listed, strict=True)
        ]
        head = json.dumps(told, sort_keys=True, separators=(",", ":")).encode("ascii")
        return VERSION + path_list.compress(b"%s\n%s" % (head, b"".join(listed)))

    @classmethod
    def decode(cls, data: bytes) -> Record:
        """Read the canonical form; raise `MalformedRecord` for anything else."""
        if not data.startswith(VERSION) or len(data) > _LARGEST:
            raise MalformedRecord("the record is of another version, or no record")
        try:
            head, _, rest = path_list.decompress(data[len(VERSION) :]).partition(b"\n")
            told = json.loads(head)
            told["parts"] = tuple(_parts(told["parts"], rest))
            told["steps"] = tuple(Step.read(step) for step in told["steps"])
            told["hosts"] = tuple(told["hosts"])
            told["made"] = dict(told.get("made", {}))
            told["untracked"] = tuple(told.get("untracked", ()))
            record = cls(**told)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise MalformedRecord(f"the record cannot be read: {error}") from None
        if not record.parts or record.parts[0].path or not record.steps:
            raise MalformedRecord("the record has no repository or no steps")
        return record


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Paths without those that lie below another of them."""
    known = set(paths)
    return tuple(sorted(path for path in known if not known.intersection(above(path))))


def above(path: str) -> Iterator[str]:
    """Every folder above a path, the nearest first."""
    while path := os.path.dirname(path):
        yield path


def _parts(told: list[dict[str, Any]], data: bytes) -> list[Part]:
    parts, begin = [], 0
    for one in told:
        end = begin + int(one["bytes"])
        parts.append(
            Part(
                os.fsencode(one["path"]),
                bytes.fromhex(one["commit"]),
                bytes.fromhex(one["tree"]),
                tuple(path_list.decode(data[begin:end])),
                bytes.fromhex(one["digest"]),
                a2b_base64(one["hints"]),
            )
        )
        begin = end
    return parts


def digests(facts: Sequence[Fact], values: Values) -> tuple[bytes, bytes]:
    """The digest over all values of facts and of what they bring along, and the hints."""
    import hashlib  # loading it takes longer than most checks need it for

    found = values.values(with_attributes(facts))
    whole = hashlib.sha256(b"".join(b"%d:%s" % (len(value), value) for value in found)).digest()
    hints = (
        hashlib.sha256(b"\0".join(found[begin : begin + GROUP])).digest()[:_HINT]
        for begin in range(0, len(found), GROUP)
    )
    return whole, b"".join(hints)


def groups_that_differ(part: Part, hints: bytes) -> list[list[Fact]]:
    """The groups of facts of which at least one has another value than was recorded."""
    listed = with_attributes(part.facts)
    return [
        listed[index * GROUP : (index + 1) * GROUP]
        for index in range(len(part.hints) // _HINT)
        if part.hints[index * _HINT : (index + 1) * _HINT] != hints[index * _HINT : (index + 1) * _HINT]
    ]

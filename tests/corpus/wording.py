# SPDX-License-Identifier: Apache-2.0
"""Facts and outputs as lines of text: those that were observed, and those that were written by hand."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from pytrace_cas.digest import BLAKE3
from pytrace_cas.recorded.places import escape, unescape
from pytrace_exec.observe.facts import canonical_listing
from tests.support.tree import Tree

LETTERS = {"/": "d", "@": "l", "|": "o"}
_DIGEST = re.compile(r"[0-9a-f]{64}/\d+")
_LINK = re.compile(r"symlink ([0-9a-f]*)$")
_TIMES = re.compile(r"mtime=-?\d+ owner=\d+:\d+ links=\d+ size=\d+")
_ORDER = re.compile(r"(order|nothing counts) [0-9a-f]{64}")
_STDIN = re.compile(r"sha256:[0-9a-f]{64}")
_MACHINE = re.compile(r"(fact/\S+ (?:\S+ )?: ).*")


@attrs.frozen
class World:
    """Where the worlds lie while a command runs, and what the start state holds, to put names in place of digests."""

    place: str
    names: Mapping[str, str]

    @classmethod
    def of(cls, place: bytes, tree: Tree) -> World:
        """Name each content of the start state by the first path that has it."""
        names: dict[str, str] = {}
        for path, entry in tree.items():
            if entry.kind == "file":
                names.setdefault(str(BLAKE3.of(entry.value)), "=" + _spelled(os.path.relpath(path, b"work")))
        return cls(os.fsdecode(place), names)

    def path(self, path: str) -> str:
        """A path as the corpus spells it."""
        for folder, short in (("work", ""), ("home", "~/"), ("tmp", "$T/")):
            whole = f"{self.place}/{folder}"
            if path == whole:
                return short.rstrip("/") or "."
            if path.startswith(whole + "/"):
                return short + _spelled(os.fsencode(path[len(whole) + 1 :]))
        return _spelled(os.fsencode(path))

    def is_near(self, path: str) -> bool:
        """Whether a path is the root or lies under it."""
        return (path + "/").startswith(f"{self.place}/work/")

    def fact(self, kind: str, arg: str, paths: list[str], value: str) -> str:
        """One observed fact; of an order only the files under the root."""
        if kind == "order":
            paths = [path for path in paths if self.is_near(path)]
        head = " ".join([f"{kind}/{_spelled(os.fsencode(arg))}" if arg else kind, *map(self.path, paths)])
        return _MACHINE.sub(r"\1...", f"{head} : {self._value(kind, value)}")

    def _value(self, kind: str, value: str) -> str:
        value = _DIGEST.sub(lambda found: self.names.get(found[0], found[0]), value.rstrip())
        value = _LINK.sub(lambda found: "symlink " + _spelled(bytes.fromhex(found[1])), value)
        value = _TIMES.sub("times", value)
        value = _ORDER.sub(r"\1", value)
        value = _STDIN.sub("sha256", value)
        if kind == "link" and value.startswith("-> "):
            value = "-> " + self.path(value[3:]) if value[3:].startswith("/") else value
        return value

    def output(self, kind: str, path: str, mode: int | None, other: str, in_place: bool, times: bool) -> str:
        """One observed output."""
        signs = {"symlink": "-> ", "hardlink": "= ", "linked": "= ", "moved": "< ", "removed": ""}
        words = [kind, self.path(path)]
        if kind in signs:
            words.append(signs[kind] + (other if kind in ("symlink", "removed") else self.path(other)))
        elif mode is not None:
            words.append(f"{mode:04o}")
        return " ".join([*words, *(["in place"] if in_place else []), *(["times"] if times else [])])

    def expected(self, text: str) -> set[str]:
        """Lines written by hand, with contents named as the observed ones are."""
        return {self._expected(line) for line in lines(text)}

    def _expected(self, line: str) -> str:
        by_name = {name: digest for digest, name in self.names.items()}
        head, _, value = line.partition(" : ")
        listed = re.fullmatch(r"\{(.*)\}", value)
        if listed:
            return f"{head} : {listing_digest(listed[1].split())}"
        words = [by_name.get(word, word) for word in value.split(" ")]
        return f"{head} : " + " ".join(self.names.get(word, word) for word in words)


def lines(text: str) -> list[str]:
    """The lines of a block of text that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def listing_digest(names: Iterable[str]) -> str:
    """Digest of a listing in which a last `/` stands for a directory, `@` for a link, `|` for all that is neither."""
    pairs = [(name[:-1], LETTERS[name[-1]]) if name[-1] in LETTERS else (name, "f") for name in names]
    return str(BLAKE3.of(canonical_listing([(unescape(name.encode()), letter) for name, letter in pairs])))


def _spelled(raw: bytes) -> str:
    return escape(raw).decode()


@attrs.frozen
class Observed:
    """What one run was observed to depend on and to do, in words."""

    facts: frozenset[str]
    elsewhere: frozenset[str]
    outputs: frozenset[str]
    reasons: tuple[str, ...]

    @classmethod
    def read(cls, told: Mapping[str, Any], world: World) -> Observed:
        """Put what the observer told into words, apart for the root and elsewhere."""
        near: set[str] = set()
        far: set[str] = set()
        for kind, arg, paths, value in told["facts"]:
            here = any(world.is_near(path) for path in paths)
            (near if here else far).add(world.fact(kind, arg, paths, value))
        outputs = frozenset(world.output(*one) for one in told["outputs"])
        return cls(frozenset(near), frozenset(far), outputs, tuple(told["reasons"]))

# SPDX-License-Identifier: Apache-2.0
"""Which identity may do what with which instance: `[[grant]]` tables of a TOML file."""

from __future__ import annotations

import re
import tomllib
from enum import Enum
from fnmatch import translate
from typing import TYPE_CHECKING, Any

import attrs

from pytrace_cas.access.files import BadAccessFile, content
from pytrace_cas.access.identity import WAYS, Identity

if TYPE_CHECKING:
    from collections.abc import Sequence


class Right(Enum):
    """What may be done in an instance."""

    READ = "read"
    """Get results and blobs, ask which blobs are missing."""
    CAS = "cas"
    """Upload blobs."""
    AC = "ac"
    """Store results."""


ALL = frozenset(Right)
NONE: frozenset[Right] = frozenset()
READ_ONLY = frozenset((Right.READ,))
_KEYS = {"identity", "by", "instance", "rights"}
# Instance names are the caller's choice, so what is remembered of them is bounded.
_REMEMBERED = 4096


@attrs.frozen
class Grant:
    """Rights of those whose name is `identity` (`*`: all who showed one) in the instances that match."""

    identity: str
    by: str | None
    instance: re.Pattern[str]
    rights: frozenset[Right]

    def concerns(self, identity: Identity) -> bool:
        """Whether it is about them."""
        return self.identity in ("*", identity.name) and self.by in (None, identity.by)


class Rights:
    """All grants; several that fit add up. None of them is about callers without an identity, who have `anonymous`.

    Everybody else may do that too: they would only have to leave their credentials at home.
    """

    def __init__(self, grants: Sequence[Grant], anonymous: frozenset[Right]) -> None:
        self._grants = grants
        self._anonymous = anonymous
        self._known: dict[tuple[Identity, str], frozenset[Right]] = {}

    def of(self, identity: Identity | None, instance: str) -> frozenset[Right]:
        """What they may do in that instance."""
        if identity is None:
            return self._anonymous
        known = self._known.get((identity, instance))
        if known is None:
            fitting = (grant for grant in self._grants if grant.concerns(identity) and grant.instance.match(instance))
            known = self._anonymous.union(*(grant.rights for grant in fitting))
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[identity, instance] = known
        return known

    def anywhere(self, identity: Identity | None) -> frozenset[Right]:
        """What they may do in some instance."""
        if identity is None:
            return self._anonymous
        return self._anonymous.union(*(grant.rights for grant in self._grants if grant.concerns(identity)))


EVERYBODY_ALL = Grant("*", None, re.compile(translate("*")), ALL)


def read(path: str) -> list[Grant]:
    """Read a file of grants; raise `BadAccessFile`."""
    try:
        tables = tomllib.loads(content(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadAccessFile(path, f"it is no TOML: {error}") from None
    grants = tables.pop("grant", [])
    if tables or not isinstance(grants, list) or not all(isinstance(grant, dict) for grant in grants):
        raise BadAccessFile(path, "it has something else than [[grant]] tables")
    return [_grant(path, f"grant {number}", grant) for number, grant in enumerate(grants, 1)]


def _grant(path: str, which: str, table: dict[str, Any]) -> Grant:
    if unknown := sorted(table.keys() - _KEYS):
        raise BadAccessFile(path, f"{which} has an unknown key {unknown[0]!r}")
    identity, by, instance = table.get("identity"), table.get("by"), table.get("instance", "*")
    if not isinstance(identity, str) or not identity:
        raise BadAccessFile(path, f"{which} names no identity")
    if by is not None and by not in WAYS:
        raise BadAccessFile(path, f"{which}: by is one of {', '.join(WAYS)}")
    if not isinstance(instance, str):
        raise BadAccessFile(path, f"{which}: instance is a text")
    return Grant(identity, by, re.compile(translate(instance)), _rights(path, which, table.get("rights")))


def _rights(path: str, which: str, given: object) -> frozenset[Right]:
    words = [right.value for right in Right]
    if not isinstance(given, list) or not given or any(word not in words for word in given):
        raise BadAccessFile(path, f"{which}: rights is a list of {', '.join(words)}")
    return frozenset(Right(word) for word in given)

# SPDX-License-Identifier: Apache-2.0
"""What facts depend on besides the tree: identity, variables, standard descriptors, the machine."""

from __future__ import annotations

import os

from pytrace_exec.observe.times import Ordering
from pytrace_exec.policy.environment import stored_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.recorded.places import Places
    from pytrace_exec.observe.facts import View
    from pytrace_exec.policy.left_out import LeftOut

_UNNAMED_LIMITS = {"RLIMIT_LOCKS": 10}
"""Limits that the kernel has and Python's `resource` has no name for (asm-generic/resource.h)."""

TREES = "trees"
"""The identity of a run whose declared inputs lie in trees of their own: where these are."""

IDENTITY = ("root", "home", "tmp", "pwd", "uid", "gid", "groups")


class Surroundings:
    """The circumstances of one invocation.

    `streams` gives the value of a stream subject, `terms` that of an option (`policy.terms`). `listings`: where it is
    a dict, every listing that is looked at is kept there, by its value.
    """

    def __init__(
        self,
        function: DigestFunction,
        places: Places,
        environ: Mapping[bytes, bytes],
        streams: Callable[[str], bytes],
        probe: str = "content",
        probe_limit: int = 256 << 20,
        inputs: tuple[bytes, ...] = (),
        redacted: frozenset[bytes] = frozenset(),
        terms: Callable[[str], bytes] = lambda name: b"no",
        left_out: LeftOut | None = None,
        declared: frozenset[bytes] = frozenset(),
    ) -> None:
        self.function = function
        self.probe = probe
        self.probe_limit = probe_limit
        self._places = places
        self._environ = environ
        self._streams = streams
        self._redacted = redacted
        self._terms = terms
        self._left_out = left_out
        self._ordering = Ordering(places.root, inputs, declared)
        self.listings: dict[bytes, bytes] | None = None

    def identities(self) -> tuple[str, ...]:
        """Names of all parts of who and where the command runs."""
        return (*IDENTITY, TREES) if self._places.trees else IDENTITY

    def link(self, target: bytes) -> bytes:
        """A link's target, by the tree of declared inputs that it leads into."""
        return self._places.in_trees(target)

    def identity(self, name: str) -> bytes:
        """Literal value of one part of who and where the command runs."""
        if name == TREES:
            return b" ".join(sign + b"=" + tree for sign, tree in self._places.trees)
        if name == "root":
            return self._places.root
        if name in ("home", "tmp", "pwd"):
            variable = {"home": b"HOME", "tmp": b"TMPDIR", "pwd": b"PWD"}[name]
            value = self._environ.get(variable)
            return b"unset" if value is None else b"= " + value
        if name == "groups":
            return b" ".join(b"%d" % group for group in sorted(os.getgroups()))
        return b"%d" % (os.geteuid() if name == "uid" else os.getegid())

    def variable(self, name: str) -> bytes:
        """Value of a variable, distinguishing unset from empty; a secret's is hashed."""
        key = os.fsencode(name)
        value = self._environ.get(key)
        return b"unset" if value is None else b"= " + stored_value(key, value, key in self._redacted)

    def stream(self, what: str) -> bytes:
        """Kind of a standard descriptor, or the digest of what stands on standard input."""
        return self._streams(what)

    def host(self, what: str) -> bytes:
        """A fact of the machine, or an option that the result was stored under."""
        if what.startswith("option "):
            return self._terms(what.removeprefix("option "))
        if what == "uname":
            return " ".join(os.uname()).encode()
        if what == "cpus":
            return b"%d" % len(os.sched_getaffinity(0))
        if what == "memory":
            return b"%d" % (os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        if what == "nice":
            return b"%d" % os.getpriority(os.PRIO_PROCESS, 0)
        if what == "cpu features":
            return _cpu_features()
        import resource

        name = what.removeprefix("limit ")
        soft, hard = resource.getrlimit(getattr(resource, name) if hasattr(resource, name) else _UNNAMED_LIMITS[name])
        return b"%d %d" % (soft, hard)

    def counting(self, folder: bytes, names: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        """Entries of a directory but those that the user leaves out."""
        return names if self._left_out is None else self._left_out.less(folder, names)

    def ranks(self, view: View, arg: str, paths: tuple[bytes, ...]) -> bytes:
        """Order of the files' times."""
        return self._ordering.ranks(view, arg, paths)


def _cpu_features() -> bytes:
    """Model and features of the processor, for what is compiled for the machine it is compiled on."""
    import hashlib

    wanted = (b"model name", b"flags", b"Features", b"CPU part")
    with open("/proc/cpuinfo", "rb") as file:
        lines = {line for line in file if line.startswith(wanted)}
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest().encode()

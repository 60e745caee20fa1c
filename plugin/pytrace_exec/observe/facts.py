# SPDX-License-Identifier: Apache-2.0
"""Facts: what a result can depend on, and how today's value of each is found.

A subject says what was looked at, never what was seen. The same function gives its value when a result is stored
(over the world as it was before the run) and when it is looked up (over the world as it is), so that the two can
only differ when the world does. Values are bytes without line breaks; an error's value is its name.
"""

from __future__ import annotations

import os
import stat

from pytrace_cas.recorded.bytecode import source_of, stamp_for
from pytrace_exec.observe import accounts, loader_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TypeAlias

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.recorded.bytecode import Bytecode
    from pytrace_cas.recorded.subjects import Subject

    Lookup: TypeAlias = os.stat_result | str

    class View(Protocol):
        """A file tree that can be asked; errors come back as their names."""

        def stat(self, path: bytes) -> Lookup: ...  # follows links
        def lstat(self, path: bytes) -> Lookup: ...
        def readlink(self, path: bytes) -> bytes | str: ...
        def names(self, path: bytes) -> list[tuple[bytes, str]] | str: ...  # with a letter for the type
        def digest(self, path: bytes) -> str: ...  # of a regular file: HASH/SIZE, or an error
        def bytecode(self, path: bytes) -> Bytecode: ...  # of a regular file
        def data(self, path: bytes, digest: str) -> bytes | None: ...  # of that digest, if it can be had
        def access(self, path: bytes, mode: int) -> str: ...  # "" when granted
        def attribute(self, path: bytes, name: bytes, follow: bool) -> bytes | str: ...
        def attributes(self, path: bytes, follow: bool) -> list[bytes] | str: ...
        def special(self, path: bytes) -> bytes | str: ...  # content of a file of /proc or /sys

    class Surroundings(Protocol):
        """What a subject's value depends on besides the tree."""

        function: DigestFunction
        probe: str
        probe_limit: int
        listings: dict[bytes, bytes] | None

        def identities(self) -> tuple[str, ...]: ...
        def identity(self, name: str) -> bytes: ...
        def link(self, target: bytes) -> bytes: ...
        def variable(self, name: str) -> bytes: ...
        def stream(self, what: str) -> bytes: ...
        def host(self, what: str) -> bytes: ...
        def counting(self, folder: bytes, names: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]: ...
        def ranks(self, view: View, arg: str, paths: tuple[bytes, ...]) -> bytes: ...


BYTECODE = "pyc"
"""The argument of content and status of a `.pyc` that counts by its meaning."""


ACCOUNTS = "accounts "
"""With `Asked.text`, the argument of content of an account file that counts by the entries asked for."""

LIBRARIES = "libraries "
"""With the names (in hexadecimal, each ended by NUL), the argument of content of the loader's cache that counts so."""


_OF_GIT = ("index", "refs ", "short ")


TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
}


def type_name(mode: int) -> str:
    """Name the type of a file by its mode."""
    return TYPES.get(stat.S_IFMT(mode), "other")


def _content(view: View, around: Surroundings, arg: str, path: bytes) -> bytes:
    """`content`: the digest; argument `pyc`: that of the code, if the stamp fits (policy/bytecode.py).

    `libraries NAMES`: that of what the loader's cache says of them (policy/loader_cache.py); `accounts ASKED`: of what
    an account file says (policy/accounts.py); `index`, `index files`, `index untrusted`, `refs NAMES`, `short DIGITS`:
    of what git reads in its folder (policy/git.py, git_times.py). Of the others, what cannot be told apart counts as a
    whole.
    """
    if arg.startswith(_OF_GIT):
        return _git(view, around, arg, path)
    found = view.stat(path)
    if isinstance(found, str):
        return found.encode()
    if not stat.S_ISREG(found.st_mode):
        return type_name(found.st_mode).encode()
    if arg == BYTECODE:
        return _meaning(view, path)
    digest = view.digest(path)
    said = _said(arg, view.data(path, digest)) if arg else None
    if said is None:
        return digest.encode()
    return b"%s=%s" % (arg.partition(" ")[0].encode(), around.function.of(said).hash.encode())


def _git(view: View, around: Surroundings, arg: str, path: bytes) -> bytes:
    """What git finds, by its meaning; where that cannot be told, a value that is equal to none."""
    from pytrace_exec.observe.git_meaning import meaning as meaning_of

    said = meaning_of(view, arg, path)
    if said is None:
        return b"unknown=" + os.urandom(16).hex().encode()
    return b"%s=%s" % (arg.partition(" ")[0].encode(), around.function.of(said).hash.encode())


def _said(arg: str, data: bytes | None) -> bytes | None:
    """What a file says of what was asked for, in canonical form."""
    if data is None:
        return None
    if arg.startswith(LIBRARIES):
        return loader_cache.meaning(data, frozenset(bytes.fromhex(arg.removeprefix(LIBRARIES)).split(b"\0")[:-1]))
    if arg.startswith(ACCOUNTS):
        return accounts.meaning(data, accounts.Asked.read(arg.removeprefix(ACCOUNTS)))
    raise ValueError(f"an unknown argument of content: {arg!r}")


def _meaning(view: View, path: bytes) -> bytes:
    """Of a `.pyc`: its code, or that it is compiled anew because its stamp is not that of its source."""
    known, source = view.bytecode(path), source_of(path)
    if known.stamp and source is not None:
        status = view.stat(source)
        if isinstance(status, str) or known.stamp != stamp_for(status.st_mtime_ns, status.st_size):
            return b"code=stale"
    return b"code=" + known.code.partition("/")[0].encode()


def _status(view: View, around: Surroundings, arg: str, path: bytes) -> bytes:
    """`status`: type, mode and content; `l` in the argument: of links themselves; `times`: also times, owner, links and
    size; `mode`: without the content; `pyc`: with what Python makes of it; `owner`: only the owner, of links
    themselves.
    """
    if arg == "owner":
        return _owner(view.lstat(path))
    follow = "l" not in arg.split(",")
    found = view.stat(path) if follow else view.lstat(path)
    if isinstance(found, str):
        return found.encode()
    if stat.S_ISLNK(found.st_mode):
        target = view.readlink(path)
        text = b"symlink " + (_named(around, target) if isinstance(target, bytes) else target.encode())
    else:
        text = b"%s %04o" % (type_name(found.st_mode).encode(), stat.S_IMODE(found.st_mode))
    if "mode" in arg.split(","):
        return text
    if arg == BYTECODE and stat.S_ISREG(found.st_mode):
        return text + b" " + _meaning(view, path)
    if "times" in arg.split(","):
        text += b" mtime=%d owner=%d:%d links=%d size=%d" % (
            found.st_mtime_ns,
            found.st_uid,
            found.st_gid,
            found.st_nlink,
            found.st_size,
        )
    return text + b" " + _weight(view, around, path, found) if stat.S_ISREG(found.st_mode) else text


def _owner(found: os.stat_result | str) -> bytes:
    return found.encode() if isinstance(found, str) else b"owner %d:%d" % (found.st_uid, found.st_gid)


def _weight(view: View, around: Surroundings, path: bytes, found: os.stat_result) -> bytes:
    """What stands for the content of a file that was looked at but not read (DESIGN 4.1, status)."""
    if around.probe == "stat":
        return b"size=%d" % found.st_size
    if found.st_size <= around.probe_limit:
        digest = view.digest(path)
        if "/" in digest:
            return digest.encode()
    return b"size=%d mtime=%d" % (found.st_size, found.st_mtime_ns)


def _type(view: View, around: Surroundings, arg: str, path: bytes) -> bytes:
    """`change`, `error`: the type or the error; argument `l`: of the link itself; `empty`: whether it has entries."""
    if arg.startswith("access"):
        return (view.access(path, int(arg[6:])) or "granted").encode()
    found = view.stat(path) if arg != "l" else view.lstat(path)
    if isinstance(found, str):
        return found.encode()
    if arg == "empty" and stat.S_ISDIR(found.st_mode):
        names = view.names(path)
        return b"empty" if not names else b"not empty"
    return type_name(found.st_mode).encode()


def _access(view: View, around: Surroundings, arg: str, path: bytes) -> bytes:
    """`access MODE`: the answer, and the type of what was asked about."""
    found = view.stat(path)
    if isinstance(found, str):
        return found.encode()
    answer = view.access(path, int(arg)) or "granted"
    return f"{type_name(found.st_mode)} {answer}".encode()


def _link(view: View, around: Surroundings, arg: str, path: bytes) -> bytes:
    target = view.readlink(path)
    return around.link(target) if isinstance(target, bytes) else target.encode()


def _named(around: Surroundings, target: bytes) -> bytes:
    """A target as it stands in a status: one that leads into a tree of declared inputs by its sign."""
    named = around.link(target)
    return b"=> " + named[3:].hex().encode() if named.startswith(b"=> ") else target.hex().encode()


def _listing(view: View, around: Surroundings, arg: str, path: bytes) -> bytes:
    """`listing`: the digest of its canonical form, or the error."""
    listed = listing_of(view, around, arg, path)
    if isinstance(listed, str):
        return listed.encode()
    value = str(around.function.of(listed)).encode()
    if around.listings is not None:
        around.listings[value] = listed
    return value


def listing_of(view: View, around: Surroundings, arg: str, path: bytes) -> bytes | str:
    """What counts of a directory in canonical form, or an error's name.

    Argument `less HEX`: without these names, which are declared outputs.
    """
    names = view.names(path)
    if isinstance(names, str):
        return names
    if arg:
        left_out = set(bytes.fromhex(arg.removeprefix("less ")).split(b"/"))
        names = [(name, letter) for name, letter in names if name not in left_out]
    return canonical_listing(around.counting(path, names))


def canonical_listing(names: list[tuple[bytes, str]]) -> bytes:
    """Names and types of a directory in canonical form: sorted by name, each ended by NUL and its type's letter."""
    return b"".join(name + b"\0" + letter.encode() for name, letter in sorted(names))


def _attribute(view: View, around: Surroundings, arg: str, path: bytes) -> bytes:
    """`attribute`: the value; without a name the list of names; a leading `l` in the argument: of the link itself."""
    follow, name = not arg.startswith("l"), arg[1:]
    if not name:
        names = view.attributes(path, follow)
        return (
            names.encode() if isinstance(names, str) else b"names " + b" ".join(n.hex().encode() for n in sorted(names))
        )
    value = view.attribute(path, name.encode("utf-8", "surrogateescape"), follow)
    return value.encode() if isinstance(value, str) else b"= " + value.hex().encode()


def _target(view: View, around: Surroundings, arg: str, path: bytes) -> bytes:
    """`target MODE`: the state before a change that cannot tell an absent file from a plain one of that mode."""
    return target_state(view, path, int(arg, 8) if arg else None).encode()


def target_state(view: View, path: bytes, mode: int | None) -> str:
    """State of a path that is about to be replaced; `plain` covers what the change cannot tell from absence."""
    found = view.lstat(path)
    if isinstance(found, str):
        return "plain" if found == "ENOENT" and mode is not None else found
    if stat.S_ISLNK(found.st_mode):
        target = view.readlink(path)
        return "symlink " + (target.hex() if isinstance(target, bytes) else target)
    if not stat.S_ISREG(found.st_mode):
        return type_name(found.st_mode)
    plain = found.st_nlink == 1 and found.st_uid == os.geteuid() and not view.access(path, os.W_OK)
    attributes = view.attributes(path, False)
    if plain and mode is not None and stat.S_IMODE(found.st_mode) == mode and attributes in ([], "ENOTSUP"):
        return "plain"
    marks = "own" if found.st_uid == os.geteuid() else "foreign"
    return f"file {stat.S_IMODE(found.st_mode):04o} links={found.st_nlink} {marks} attributes={attributes!r}"


def _host(view: View, around: Surroundings, arg: str, path: bytes = b"") -> bytes:
    if not path:
        return around.host(arg)
    content = view.special(path)
    return str(around.function.of(content)).encode() if isinstance(content, bytes) else content.encode()


def _identity(view: View, around: Surroundings, arg: str) -> bytes:
    return around.identity(arg)


def _variable(view: View, around: Surroundings, arg: str) -> bytes:
    return around.variable(arg)


def _stream(view: View, around: Surroundings, arg: str) -> bytes:
    return around.stream(arg)


def _order(view: View, around: Surroundings, arg: str, *paths: bytes) -> bytes:
    return around.ranks(view, arg, paths)


def _generation(view: View, around: Surroundings, arg: str, *paths: bytes) -> bytes:
    """A look-up knows it, and no path set names it: what was invalidated is no observation."""
    return b"none"


VALUES: dict[str, Callable[..., bytes]] = {
    "access": _access,
    "attribute": _attribute,
    "change": _type,
    "content": _content,
    "error": _type,
    "fact": _host,
    "generation": _generation,
    "identity": _identity,
    "link": _link,
    "listing": _listing,
    "order": _order,
    "status": _status,
    "stream": _stream,
    "target": _target,
    "variable": _variable,
}


def value_of(subject: Subject, view: View, around: Surroundings) -> bytes:
    """Return the subject's value in that view."""
    return VALUES[subject.kind](view, around, subject.arg, *subject.paths)

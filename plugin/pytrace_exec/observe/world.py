# SPDX-License-Identifier: Apache-2.0
"""The tree as the run saw it: what was there before, with every change of the run applied in order.

Each `Node` is an inode. It remembers where it lay before the run (`origin`, None if the run made it), so that what
is looked at can be named by its earlier path and what is left at the end is known by its new one.
"""

from __future__ import annotations

import os
import stat

from pytrace_exec.observe.facts import type_name
from pytrace_exec.observe.repeats import Repeats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from pytrace_exec.observe.facts import Lookup
    from pytrace_exec.observe.processes import Program

    class Earlier(Protocol):
        """The tree before the run."""

        def stat(self, path: bytes) -> Lookup: ...  # follows links
        def lstat(self, path: bytes) -> Lookup: ...
        def readlink(self, path: bytes) -> bytes | str: ...


MAX_LINKS = 40
MACHINE = frozenset({b"proc", b"sys", b"dev"})


class Node:
    """An inode: `kind` is a type's name; directories hold `entries`, None where a name is known to be absent.

    `own`: the content is the run's (made or truncated by it); `written`: opened for writing. `mode`, `times`: set by a
    call of their own; `created`: the mode it was made with. `alias`: the subject, when the node was reached through a
    link that leaves the root. `places`: the names it has now. `birth`: of a file, which program made it, as which name.
    `writes`: how often it was opened to be changed.
    """

    __slots__ = (
        "alias",
        "birth",
        "created",
        "entries",
        "kind",
        "mode",
        "origin",
        "own",
        "places",
        "status",
        "target",
        "times",
        "writes",
        "written",
    )

    def __init__(self, kind: str, origin: bytes | None, status: os.stat_result | None = None) -> None:
        self.kind = kind
        self.origin = origin
        self.status = status
        self.entries: dict[bytes, Node | None] = {}
        self.target: bytes = b""
        self.places: list[tuple[Node, bytes]] = []
        self.alias: bytes | None = None
        self.own = self.written = origin is None
        self.birth: tuple[Program, bytes] | None = None
        self.created: int | None = None
        self.mode: int | None = None
        self.times: tuple[int | None, int | None] | None = None
        self.writes = 0

    @property
    def parent(self) -> Node | None:
        """The directory it lies in; None for `/` and for what was removed."""
        return self.places[-1][0] if self.places else None

    @property
    def subject(self) -> bytes | None:
        """The path that names the node in facts; None for what the run made."""
        return self.alias or self.origin

    def path(self) -> bytes:
        """Where the node lies now (a file with several names: the one it got last); `/` for what was removed."""
        parts: list[bytes] = []
        node: Node = self
        while node.places:
            node, name = node.places[-1]
            parts.append(name)
        return b"/" + b"/".join(reversed(parts))


class Found:
    """Where a look-up ended: in directory `parent` under `name`, at `node` (None: nothing there) or with `error`.

    `subject` is the path before the run, or None when only the run's own doing is looked at; `spot` is what lay
    under this name before the run, whatever lies there now (None in a directory that the run made). `machine` is the
    path when it leads into `/proc`, `/sys` or `/dev`, which no tree holds. `followed`: a link at the end would have
    been followed.
    """

    __slots__ = ("error", "followed", "machine", "name", "node", "parent", "spot", "subject")

    def __init__(
        self,
        parent: Node,
        name: bytes,
        node: Node | None,
        subject: bytes | None,
        error: str | None = None,
        spot: bytes | None = None,
    ) -> None:
        self.parent = parent
        self.name = name
        self.node = node
        self.subject = subject
        self.error = error
        self.spot = spot
        self.machine: bytes | None = None
        self.followed = True

    def path(self) -> bytes:
        """The path now."""
        folder = self.parent.path()
        return (folder.rstrip(b"/") + b"/" + self.name) if self.name else folder


class World:
    """All nodes that the run touched; the rest is read from `earlier` when it is first looked at.

    `crossed` collects the earlier paths of links that look-ups went through, `climbed` those of directories left
    by `..`; `changes` every name whose meaning the run changed; `repeats` the looks that say the same until one does.
    `trees`: the root, and those from which its files are linked into it.
    """

    def __init__(self, earlier: Earlier, trees: tuple[bytes, ...]) -> None:
        self.earlier = earlier
        self.trees = trees
        self.top = Node("dir", b"/")
        self.crossed: set[bytes] = set()
        self.climbed: set[bytes] = set()
        self.changes: dict[tuple[int, bytes], tuple[Node, bytes]] = {}
        self._changed_names: dict[Node, dict[bytes, None]] = {}
        self.originals: dict[bytes, Node] = {}
        self.repeats = Repeats()

    def refresh(self, origin: bytes, found: Lookup) -> bool:
        """Put a later status in the place of one that an inode had; return whether it is still there."""
        if isinstance(found, str):
            return False
        self.originals[origin].status = found
        return True

    def tree_of(self, path: bytes) -> bytes | None:
        """The one of the trees that a path lies in."""
        return next((tree for tree in self.trees if under(path, tree)), None)

    def child(self, folder: Node, name: bytes) -> Node | None:
        """What the name stands for in the directory now."""
        try:
            return folder.entries[name]
        except KeyError:
            pass
        node: Node | None = None
        if folder.origin is not None:
            origin = folder.origin.rstrip(b"/") + b"/" + name
            found = self.earlier.lstat(origin)
            if not isinstance(found, str):
                node = self._original(origin, found)
                node.places.append((folder, name))
        folder.entries[name] = node
        return node

    def _original(self, origin: bytes, found: os.stat_result) -> Node:
        node = Node(type_name(found.st_mode), origin, found)
        if stat.S_ISLNK(found.st_mode):
            target = self.earlier.readlink(origin)
            node.target = target if isinstance(target, bytes) else b""
        self.originals[origin] = node
        return node

    def bind(self, folder: Node, name: bytes, node: Node | None) -> None:
        """Let the name stand for the node from now on; None removes it."""
        before = self.child(folder, name)
        if before is not None:
            before.places.remove((folder, name))
        self._forget(folder, name, before)
        folder.entries[name] = node
        if node is not None:
            node.places.append((folder, name))
        self.changes[(id(folder), name)] = (folder, name)
        self._changed_names.setdefault(folder, {})[name] = None

    def changed_names(self, folder: Node) -> Iterable[bytes]:
        """The names in a directory whose meaning the run changed."""
        return self._changed_names.get(folder, ())

    def changed(self, found: Found) -> bool:
        """Whether the run itself gave the name it was found under its meaning."""
        return (id(found.parent), found.name) in self.changes

    def learn_absent(self, found: Found) -> None:
        """Note what the log proves: the name was not there, whatever is there now."""
        if (id(found.parent), found.name) not in self.changes:
            if found.node is not None and (found.parent, found.name) in found.node.places:
                found.node.places.remove((found.parent, found.name))
            self._forget(found.parent, found.name, found.node)
            found.parent.entries[found.name] = None
            found.node, found.error = None, "ENOENT"

    def own(self, node: Node) -> None:
        """Note that the content of a file is the run's from now on."""
        node.own = node.written = True
        for folder, name in node.places:
            self.repeats.forget(folder, name)

    def _forget(self, folder: Node, name: bytes, before: Node | None) -> None:
        """A name stands for something else: looks that passed there went through a directory or a link."""
        if before is None or before.kind == "file":
            self.repeats.forget(folder, name)
        else:
            self.repeats.forget_all()

    def locate(self, path: bytes) -> Node | None:
        """The node at an absolute path without links, as the kernel prints paths; nothing is noted."""
        node: Node | None = self.top
        for name in path.split(b"/"):
            if name and node is not None:
                node = self.child(node, name)
        return node

    def walk(self, path: bytes, base: Node, follow: bool = True) -> Found:
        """Resolve a path as the kernel does (path_resolution(7)), from `base` when it is relative."""
        return _Walk(self).go(path, base, follow, None)


class _Walk:
    """One resolution: counts links and notes what is crossed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.links = 0

    def go(self, path: bytes, base: Node, follow: bool, alias: bytes | None) -> Found:
        """Walk; `alias` is the subject of `base` when it was reached through a link that leaves the root."""
        node = self.world.top if path.startswith(b"/") else base
        if path.startswith(b"/"):
            alias = None
        names = [name for name in path.split(b"/") if name and name != b"."]
        slash = path.endswith((b"/", b"/."))
        found = Found(node, b"", node, alias or node.subject)
        for position, name in enumerate(names):
            last = position == len(names) - 1
            if node.kind != "dir":
                return Found(found.parent, found.name, None, self._below(found, names[position:]), "ENOTDIR")
            if node is self.world.top and name in MACHINE and names[position : position + 2] != [b"dev", b"shm"]:
                found = Found(node, name, None, None)
                found.machine = b"/" + b"/".join(names[position:])
                return found
            if name == b"..":
                node, alias = self._climb(node, alias)
                found = Found(node, b"", node, alias or node.subject)
                continue
            child = self.world.child(node, name)
            spot = _join(alias, node, name)
            found = Found(node, name, child, self._subject(spot, node, name, child), None, spot)
            if child is None:
                if not last:
                    return Found(node, name, None, self._below(found, names[position + 1 :]), "ENOENT")
                found.error = "ENOENT"
                return found
            if child.kind == "symlink" and (not last or follow or slash):
                found = self._cross(child, found, node, alias)
                if found.machine is not None:
                    found.machine = b"/".join([found.machine, *names[position + 1 :]])
                    return found
                if found.error or found.node is None:
                    if not last:
                        found.subject = self._below(found, names[position + 1 :])
                    return found
                child = found.node
            outside = found.subject is not None and child.origin is not None and found.subject != child.origin
            alias = found.subject if outside and not self.world.changed(found) else None
            if alias is not None and child.alias != alias:
                child.alias = alias
                self.world.repeats.forget_all()
            node = child
        if slash and found.node is not None and found.node.kind != "dir":
            found.error = "ENOTDIR"
        return found

    def _subject(self, spot: bytes | None, folder: Node, name: bytes, child: Node | None) -> bytes | None:
        """Earlier path of what is found: none for what the run made or removed, the old one for what it moved."""
        if (id(folder), name) not in self.world.changes:
            return spot
        return child.origin if child is not None else None

    def _below(self, found: Found, rest: list[bytes]) -> bytes | None:
        return None if found.subject is None else b"/".join([found.subject, *rest])

    def _climb(self, node: Node, alias: bytes | None) -> tuple[Node, bytes | None]:
        if node.origin is not None and node.places:
            self.world.climbed.add(node.origin)
        if alias is not None:
            self.world.crossed.add(alias)
        return node.parent or node, None

    def _cross(self, link: Node, found: Found, folder: Node, alias: bytes | None) -> Found:
        """Go through a link; one that leaves the root counts as what it leads to (DESIGN 4.1, link).

        So does one that leaves a tree of sources, into which links of the root lead.
        """
        self.links += 1
        if self.links > MAX_LINKS:
            return Found(folder, found.name, None, found.subject, "ELOOP")
        reached = self.go(link.target, folder, True, alias)
        tree = self.world.tree_of(found.subject) if found.subject is not None else None
        if tree is not None and reached.node is not None and not under(reached.path(), tree):
            return Found(reached.parent, reached.name, reached.node, found.subject, reached.error)
        if found.subject is not None:
            self.world.crossed.add(found.subject)
        return reached


def _join(alias: bytes | None, folder: Node, name: bytes) -> bytes | None:
    """Earlier path of a name in a directory, through the alias if there is one."""
    base = alias if alias is not None else folder.origin
    return None if base is None else base.rstrip(b"/") + b"/" + name


def under(path: bytes, folder: bytes) -> bool:
    """Whether a path is the folder or lies below it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")

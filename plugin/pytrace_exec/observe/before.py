# SPDX-License-Identifier: Apache-2.0
"""The tree as it was before the run, asked after it, for a tracer that reads its log afterwards.

What the run left alone is read where it lies now and held against the snapshot; what it changed is told by the
snapshot; content that it destroyed counts as known only if its digest was known before, for exactly that status.
Whatever cannot be proved is a problem, and a run with a problem is not stored.
"""

from __future__ import annotations

import os
import stat

from pytrace_cas.recorded.bytecode import Bytecode
from pytrace_exec.observe.digest_cache import LOCAL_FILE_SYSTEMS, file_systems
from pytrace_exec.observe.view import LiveView, hash_file, identity_of, type_letter
from pytrace_exec.policy.reasons import Reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.digest_cache import DigestCache
    from pytrace_exec.observe.facts import Lookup
    from pytrace_exec.observe.snapshot import Snapshot
    from pytrace_exec.observe.world import Node, World

GRANULE_NS = 10_000_000
COARSE_GRANULE_NS = 2_000_000_000


class EarlierView:
    """A `facts.View` of the world before the run; `problems` collects what it could not prove.

    `known`: digests that were taken before the run, by path, each with the status it belongs to.
    `started_ns`: the moment just before the command's own exec. `kept`: by `identity_of` what the run destroyed, where
    its content can still be read.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        live: LiveView,
        known: dict[bytes, tuple[os.stat_result, str]],
        cache: DigestCache | None,
        started_ns: int,
        kept: dict[tuple[int, ...], bytes] | None = None,
    ) -> None:
        self.problems: dict[tuple[str, bytes | None, str | None], Reason] = {}
        self.world: World | None = None
        self.live = live
        self._snapshot = snapshot
        self._known = known
        self._kept = kept or {}
        self._cache = cache
        self._started_ns = started_ns
        self._file_systems: dict[int, str] | None = None

    def stat(self, path: bytes) -> Lookup:
        """Status of what the path led to (a link that is still one leaves the root and is asked as it is)."""
        found = self.lstat(path)
        if isinstance(found, str) or not stat.S_ISLNK(found.st_mode):
            return found
        return self._steady(path, self.live.stat(path))

    def lstat(self, path: bytes) -> Lookup:
        """Status of the path itself."""
        found = self._snapshot.lstat(path)
        return found if found is not None else self.live.lstat(path)

    def readlink(self, path: bytes) -> bytes | str:
        """Target of a link."""
        target = self._snapshot.targets.get(path)
        if target is None:
            found = self._snapshot.lstat(path)
            if found is None:
                return self._outside_link(path)
            return found if isinstance(found, str) else "EINVAL"
        place = self._place(path) if self.world is not None else None
        if place is not None and self.live.readlink(place) != target:
            self._problem("input_changed", path)
        return target

    def _outside_link(self, path: bytes) -> bytes | str:
        """Target of a link outside the snapshot, which must be older than the run."""
        found = self.live.lstat(path)
        if not isinstance(found, str) and stat.S_ISLNK(found.st_mode) and found.st_ctime_ns >= self._started_ns:
            self._problem("input_changed", path)
        return self.live.readlink(path)

    def names(self, path: bytes) -> list[tuple[bytes, str]] | str:
        """Names and type letters of a directory."""
        names = self._snapshot.names(path)
        if names is not None:
            stats = self._snapshot.stats
            return [(name, type_letter(stats[os.path.join(path, name)].st_mode)) for name in names]
        listed = self.live.names(path)
        if isinstance(listed, str) or self.world is None:
            return listed
        return self._less_changes(path, dict(listed))

    def _less_changes(self, path: bytes, listed: dict[bytes, str]) -> list[tuple[bytes, str]]:
        """What a directory outside the snapshot held, less what the run made there."""
        assert self.world is not None
        folder = self.world.originals.get(path)
        for name in self.world.changed_names(folder) if folder is not None else ():
            listed.pop(name, None)
        return list(listed.items())

    def digest(self, path: bytes) -> str:
        """Digest of a regular file, or an error that is a problem as well."""
        found = self.stat(path)
        if isinstance(found, str):
            return found
        node = self.world.originals.get(path) if self.world is not None else None
        if node is None:
            place = self._place(path) or path
            if place == path:
                self._steady(path, found)
            return self._hash(place, found, moved=place != path)
        if node.own or not node.places:
            return self._proved(path, found)
        place = node.path()
        if node.written and not self._same(place, found):
            return self._proved(path, found)
        moved = place != path or node.mode is not None or len(node.places) > 1
        return self._hash(place, found, moved or node.times is not None, node.times is not None)

    def bytecode(self, path: bytes) -> Bytecode:
        """What a `.pyc` held; of one that the run replaced, only what an earlier look-up knew can be told."""
        digest = self.digest(path)
        known = self.live.code(digest, self._place(path) or self._kept_original(path) or path)
        if known is None:
            self._problem("input_destroyed", path)
            return Bytecode(b"", digest)
        return known

    def data(self, path: bytes, digest: str) -> bytes | None:
        """What was in a file of that digest, if it is still there."""
        found, data = self.stat(path), self.live.data(path, digest)
        kept = None if isinstance(found, str) else self._kept.get(identity_of(found))
        return self.live.data(kept, digest) if data is None and kept is not None else data

    def _hash(self, place: bytes, found: os.stat_result, moved: bool = False, stamped: bool = False) -> str:
        """Digest of what lies at a place now, held against its status before.

        `moved`: the run itself moved its change time, `stamped`: its modification time as well.
        """
        digest = self.live.digest(place)
        now = self.live.stat(place)
        if isinstance(now, str):
            self._problem("input_changed", place)
            return now
        same = identity_of(now)[: 3 if stamped else 4] == identity_of(found)[: 3 if stamped else 4]
        if not same or (not moved and now.st_ctime_ns != found.st_ctime_ns):
            self._problem("input_changed", place)
        if not moved:
            self._steady(place, found)
        return digest

    def _same(self, place: bytes, found: os.stat_result) -> bool:
        """Whether a file that was opened for writing was left as it was.

        A store to a shared mapping moves the time on local disk file systems only.
        """
        now = self.live.lstat(place)
        if isinstance(now, str) or identity_of(now)[:4] != identity_of(found)[:4]:
            return False
        return self._file_system(found.st_dev) in LOCAL_FILE_SYSTEMS

    def _proved(self, path: bytes, found: os.stat_result) -> str:
        known = self._known.get(path)
        if known is not None and identity_of(known[0]) == identity_of(found):
            return known[1]
        digest = self._cache.find(found) if self._cache else None
        kept = self._kept.get(identity_of(found))
        if digest is None and kept is not None:
            hashed, status = hash_file(kept, self.live.function)
            changed = status is None or (
                os.path.samestat(status, found) and identity_of(status)[:4] != identity_of(found)[:4]
            )
            digest = None if changed else hashed
        if digest is None:
            self._problem("input_destroyed", path)
            return "UNKNOWN"
        return digest

    def _steady(self, path: bytes, found: Lookup) -> Lookup:
        """Hold a file that the run left alone against the moment the command started."""
        if isinstance(found, str) or not stat.S_ISREG(found.st_mode):
            return found
        local = self._file_system(found.st_dev) in LOCAL_FILE_SYSTEMS | {"tmpfs"}
        latest = self._started_ns - (GRANULE_NS if local else COARSE_GRANULE_NS)
        if found.st_ctime_ns >= self._started_ns:
            self._problem("input_changed", path)
        elif found.st_ctime_ns > latest:
            self._problem("input_too_new", path)
        return found

    def access(self, path: bytes, mode: int) -> str:
        """Empty when the access was granted, or the error's name."""
        node = self.world.originals.get(path) if self.world is not None else None
        if node is None or (node.mode is None and node.places and node.path() == path):
            return self.live.access(path, mode)
        found = self.stat(path)
        return found if isinstance(found, str) else granted(found, mode)

    def attribute(self, path: bytes, name: bytes, follow: bool) -> bytes | str:
        """Value of an extended attribute."""
        place = self._place(path) or self._kept_original(path)
        if place is None:
            self._problem("input_destroyed", path)
            return "UNKNOWN"
        return self.live.attribute(place, name, follow)

    def attributes(self, path: bytes, follow: bool) -> list[bytes] | str:
        """Names of extended attributes; of a file that was replaced, whose attributes changed nothing, none."""
        place = self._place(path)
        return [] if place is None else self.live.attributes(place, follow)

    def special(self, path: bytes) -> bytes | str:
        """Content of a file of `/proc` or `/sys`."""
        return self.live.special(path)

    def _place(self, path: bytes) -> bytes | None:
        """Where the inode lies now; None when the run removed it."""
        above = path
        while self.world is not None and len(above) > 1:
            node = self.world.originals.get(above)
            if node is not None:
                return node.path() + path[len(above) :] if node.places else None
            above = os.path.dirname(above)
        return path

    def _kept_original(self, path: bytes) -> bytes | None:
        """Where the very inode can still be reached although the run took its last name."""
        found = self.stat(path)
        if isinstance(found, str) or (place := self._kept.get(identity_of(found))) is None:
            return None
        now = self.live.stat(place)
        return None if isinstance(now, str) or not os.path.samestat(now, found) else place

    def _file_system(self, device: int) -> str:
        if self._file_systems is None:
            self._file_systems = file_systems()
        return self._file_systems.get(device, "")

    def _problem(self, code: str, path: bytes) -> None:
        reason = Reason(code, path)
        self.problems.setdefault(reason.key(), reason)


def granted(found: os.stat_result, mode: int) -> str:
    """Whether the effective user may access a file of that status, by its mode alone (path_resolution(7))."""
    uid, bits = os.geteuid(), found.st_mode
    if uid == 0:
        denied = mode & os.X_OK and not stat.S_ISDIR(bits) and not bits & 0o111
        return "EACCES" if denied else ""
    if uid == found.st_uid:
        allowed = bits >> 6
    elif found.st_gid == os.getegid() or found.st_gid in os.getgroups():
        allowed = bits >> 3
    else:
        allowed = bits
    return "" if mode & ~allowed & 7 == 0 else "EACCES"


def moved_folders(world: World) -> list[Node]:
    """Directories that lay elsewhere before the run."""
    return [
        node for origin, node in world.originals.items() if node.kind == "dir" and node.places and node.path() != origin
    ]

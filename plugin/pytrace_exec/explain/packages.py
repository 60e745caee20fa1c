# SPDX-License-Identifier: Apache-2.0
"""Which package of the system owns a file, and in which version, by the package databases as they lie on disk.

dpkg (Debian, Ubuntu): `info/*.list` and `status`, dpkg-query(1), deb-control(5). apk (Alpine): `installed`,
apk-installed(5). rpm (Fedora, RHEL 9, openSUSE): the tables `Basenames` and `Packages` of `rpmdb.sqlite`, whose blobs
are headers as an RPM file has them, without the magic. No program is run.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

DPKG, APK = b"/var/lib/dpkg", b"/lib/apk/db/installed"
RPM = (b"/usr/lib/sysimage/rpm/rpmdb.sqlite", b"/var/lib/rpm/rpmdb.sqlite")

_NAME, _VERSION, _RELEASE, _EPOCH = 1000, 1001, 1002, 1003
_DIRECTORY_OF, _BASENAMES, _DIRECTORIES = 1116, 1117, 1118
_INT32, _STRINGS = 4, (6, 8, 9)
_MERGED = (b"/bin/", b"/sbin/", b"/lib/", b"/lib64/", b"/lib32/", b"/libx32/")
"""Folders that are links below /usr where packages may still name them without it."""


@attrs.frozen
class Package:
    """The package that owns a file; `system` is dpkg, rpm or apk."""

    system: str
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.system})"


def owner(path: bytes, base: bytes = b"") -> Package | None:
    """The package that owns a file by its real path, or by the path itself; `base`: where the system's `/` is."""
    names = list(dict.fromkeys(name for spelled in (os.path.realpath(path), path) for name in _spellings(spelled)))
    for find in (_dpkg, _apk, _rpm):
        try:
            found = find(base, names)
        except (OSError, sqlite3.Error, ValueError, struct.error, IndexError):
            continue  # a database that is not there, or not as it should be, knows nothing
        if found is not None:
            return found
    return None


def _spellings(path: bytes) -> Iterator[bytes]:
    yield path
    if path.startswith(b"/usr/") and path[4:].startswith(_MERGED):
        yield path[4:]
    elif path.startswith(_MERGED):
        yield b"/usr" + path


def _dpkg(base: bytes, names: list[bytes]) -> Package | None:
    folder = base + DPKG
    wanted = frozenset(names)
    with os.scandir(folder + b"/info") as entries:
        lists = [entry.path for entry in entries if entry.name.endswith(b".list")]
    for list_ in sorted(lists):
        with open(list_, "rb") as file:
            data = file.read()
        if any(name in data for name in wanted) and not wanted.isdisjoint(data.splitlines()):
            package = os.path.basename(list_).removesuffix(b".list")
            return Package("dpkg", package.decode(), _dpkg_version(folder, package))
    return None


def _dpkg_version(folder: bytes, package: bytes) -> str:
    """The version that `status` says is there; `package` may end with `:ARCHITECTURE`."""
    name, _, architecture = package.partition(b":")
    with open(folder + b"/status", "rb") as file:
        for stanza in file.read().split(b"\n\n"):
            fields = dict(line.split(b": ", 1) for line in stanza.splitlines() if b": " in line and line[:1] != b" ")
            if fields.get(b"Package") == name and architecture in (b"", fields.get(b"Architecture")):
                return fields.get(b"Version", b"").decode()
    return ""


def _apk(base: bytes, names: list[bytes]) -> Package | None:
    """Records of `X:` lines: P a package, V its version, F a folder, R a file in it."""
    wanted = {name.lstrip(b"/") for name in names}
    package = version = folder = b""
    with open(base + APK, "rb") as file:
        for line in file:
            sign, value = line[:2], line[2:].rstrip(b"\n")
            if sign == b"P:":
                package, version = value, b""
            elif sign == b"V:":
                version = value
            elif sign == b"F:":
                folder = value
            elif sign == b"R:" and (folder + b"/" + value if folder else value) in wanted:
                return Package("apk", package.decode(), version.decode())
    return None


def _rpm(base: bytes, names: list[bytes]) -> Package | None:
    file = next((base + path for path in RPM if os.path.exists(base + path)), None)
    if file is None:
        return None
    # Not `immutable`: an installation may be under way.
    uri = "file:" + "".join(f"%{byte:02x}" for byte in file) + "?mode=ro"
    with sqlite3.connect(uri, uri=True, timeout=1) as db:
        try:
            for name in names:
                query = "SELECT p.blob FROM Basenames b JOIN Packages p ON p.hnum = b.hnum WHERE b.key = ?"
                base_name = os.fsdecode(os.path.basename(name))
                for (blob,) in db.execute(query, (base_name,)).fetchall():
                    found = _in_header(bytes(blob), name)
                    if found is not None:
                        return found
        finally:
            db.rollback()
    return None


def _in_header(blob: bytes, path: bytes) -> Package | None:
    """The package of a header if it owns a path."""
    tags = dict(_tags(blob))
    folders, names, places = tags.get(_DIRECTORIES, []), tags.get(_BASENAMES, []), tags.get(_DIRECTORY_OF, [])
    owned = (folders[place] + name for place, name in zip(places, names, strict=True))
    if path not in owned:
        return None
    epoch = f"{tags[_EPOCH][0]}:" if tags.get(_EPOCH) else ""
    version = f"{epoch}{tags[_VERSION][0].decode()}-{tags[_RELEASE][0].decode()}"
    return Package("rpm", tags[_NAME][0].decode(), version)


def _tags(blob: bytes) -> Iterator[tuple[int, list[Any]]]:
    """The entries of a header that are needed: numbers of 32 bits and strings, all big endian."""
    entries, _ = struct.unpack_from(">II", blob)
    store = 8 + 16 * entries
    for entry in range(entries):
        tag, kind, offset, count = struct.unpack_from(">IIiI", blob, 8 + 16 * entry)
        if kind == _INT32:
            yield tag, list(struct.unpack_from(f">{count}I", blob, store + offset))
        elif kind in _STRINGS:
            yield tag, blob[store + offset :].split(b"\0", count)[:count]

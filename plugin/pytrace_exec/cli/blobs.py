# SPDX-License-Identifier: Apache-2.0
"""What people call the blobs and messages of any cache: by digest, or by the action that they belong to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs
from google.protobuf.message import DecodeError, Message

from pytrace_cas.digest import FUNCTIONS, Digest, MalformedDigest
from pytrace_exec.cache.errors import BlobMissing, RemoteTrouble
from pytrace_exec.cache.local import LocalCache
from pytrace_exec.cache.remote import Address, connect
from pytrace_exec.cli.choices import open_chosen_cache
from pytrace_exec.cli.exit_status import NOT_FOUND, USAGE, status_of
from pytrace_exec.cli.main import Failed
from pytrace_exec.cli.stored import Finder
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeVar

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store import Store
    from pytrace_exec.options import Options

    M = TypeVar("M", bound=Message)

_BEGINNING = re.compile(r"[0-9a-f]{4,128}")


@attrs.frozen
class Named:
    """What a reference means: a blob, or with a `result` an action, and where its blobs are."""

    cache: LocalCache
    digest: Digest
    result: reapi.ActionResult | None = None

    def get(self, digest: Digest | reapi.Digest) -> bytes:
        """A blob; raise `Failed`."""
        wanted = digest if isinstance(digest, Digest) else Digest(digest.hash, digest.size_bytes)
        try:
            self.cache.function.check(wanted)
            return self.cache.get(wanted)
        except (BlobMissing, MalformedDigest):
            for trouble in self.cache.troubles:
                raise Failed(str(trouble), status_of(trouble)) from None
            raise Failed(f"blob {wanted} is not in the cache", NOT_FOUND) from None

    def message(self, kind: type[M], digest: Digest | reapi.Digest | None = None) -> M:
        """A blob as a message; raise `Failed`."""
        return parsed(kind, self.get(digest if digest is not None else self.digest), self.digest)

    def action(self) -> reapi.Action:
        """The action, if this is one; raise `Failed`."""
        found = self.message(reapi.Action)
        if not (self._names(found.command_digest) and self._names(found.input_root_digest)):
            raise Failed(f"{self.digest} is no action", NOT_FOUND)
        return found

    def root(self) -> reapi.Directory:
        """The directory that this is, or the input root of the action, or the root of the tree; raise `Failed`."""
        if self.result is not None or self._is_action():
            return self.message(reapi.Directory, self.action().input_root_digest)
        for kind in (reapi.Directory, reapi.Tree):
            try:
                found = self.message(kind)
            except Failed as error:
                if error.status == NOT_FOUND and "is no" not in str(error):
                    raise
                continue
            folder = found.root if isinstance(found, reapi.Tree) else found
            if isinstance(folder, reapi.Directory) and self.is_directory(folder):
                return folder
        raise Failed(f"{self.digest} is no directory, tree or action", NOT_FOUND)

    def is_directory(self, folder: reapi.Directory) -> bool:
        """Whether a message that could be read as a directory is one."""
        return (
            all(file.name and self._names(file.digest) for file in folder.files)
            and all(below.name and self._names(below.digest) for below in folder.directories)
            and all(link.name and link.target for link in folder.symlinks)
        )

    def _is_action(self) -> bool:
        try:
            self.action()
        except Failed:
            return False
        return True

    def _names(self, digest: reapi.Digest) -> bool:
        return self.cache.function.can_make(Digest(digest.hash, digest.size_bytes))


def parsed(kind: type[M], data: bytes, digest: Digest) -> M:
    """Bytes as a message; raise `Failed`."""
    try:
        return kind.FromString(data)
    except DecodeError:
        raise Failed(f"{digest} is no {kind.DESCRIPTOR.name}", NOT_FOUND) from None


def named(store: Store, options: Options, reference: str) -> Named:
    """What a reference means: a digest any blob or action, everything else an action of the wrapper's.

    The beginning of a digest is an action's before it is a blob's.
    """
    digest = _digest(store, reference)
    if digest is None:
        try:
            run = Finder(store, options).find(reference)
            return _with_result(Named(run.cache, run.digest), options)
        except Failed as error:
            digest = _beginning(store, reference) if error.status == NOT_FOUND else None
            if digest is None:
                raise
    troubles: list[RemoteTrouble] = []
    for cache in _caches(store, options, digest):
        found = _with_result(Named(cache, digest), options)
        if found.result is not None or not cache.missing([digest]) or cache.get_result(digest) is not None:
            return found
        if cache.at_hand is not cache and not cache.tiers[-1].fetch([digest]):
            return found
        troubles += cache.troubles
    for trouble in troubles:
        if status_of(trouble) != NOT_FOUND:
            raise Failed(str(trouble), status_of(trouble))
    raise Failed(f"no blob and no action {reference} is in the cache", NOT_FOUND)


def _digest(store: Store, reference: str) -> Digest | None:
    """A whole digest, or a whole hash that the store knows."""
    try:
        return Digest.parse(reference)
    except MalformedDigest:
        fitting = (function for function in FUNCTIONS.values() if function.length == len(reference))
        found = (store.find(function, reference) for function in fitting)
        return next((digest for digest in found if digest is not None), None)


def _beginning(store: Store, reference: str) -> Digest | None:
    """The one blob whose hash begins so; None if there is none, `Failed` if there are several."""
    if not _BEGINNING.fullmatch(reference):
        return None
    found = list(dict.fromkeys(digest for _, digest in store.blobs_called(reference, limit=6)))
    if len(found) > 1:
        names = ", ".join(digest.hash[:16] for digest in found[:5])
        raise Failed(f"several blobs begin with {reference} ({names}); give more of the digest", USAGE)
    return found[0] if found else None


def _caches(store: Store, options: Options, digest: Digest) -> Iterator[LocalCache]:
    """The caches whose function can have made a digest: that with the remote behind it, then the store's others."""
    remote = None
    if options.remote is not None:
        cache = open_chosen_cache(store, options)
        remote = cache.function
        if remote.can_make(digest):
            yield cache
    for function in FUNCTIONS.values():
        if function is not remote and function.can_make(digest):
            yield LocalCache(store, function, options.instance_name)


def _with_result(found: Named, options: Options) -> Named:
    """The same with the result under its digest, if there is one; whole, as other clients wrote it."""
    cache = found.cache
    message = cache.store.get_action_result(cache.function, cache.instance, found.digest)
    if message is None and cache.at_hand is not cache and options.remote is not None:
        message = _remote_result(options, cache.function, found.digest)
    return found if message is None else attrs.evolve(found, result=parsed(reapi.ActionResult, message, found.digest))


def _remote_result(options: Options, function: DigestFunction, digest: Digest) -> bytes | None:
    assert options.remote is not None
    remote = None
    try:
        remote = connect(Address(options.remote, options.instance_name), options)
        return remote.get_result(function, digest, ())
    except RemoteTrouble as error:
        raise Failed(str(error), status_of(error)) from None
    finally:
        if remote is not None:
            remote.close()

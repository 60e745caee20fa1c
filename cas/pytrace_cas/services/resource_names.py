# SPDX-License-Identifier: Apache-2.0
"""Instance names, and the resource names of ByteStream (WIRE 8-13).

upload:   [instance/]uploads/uuid/blobs/[function/]hash/size[/anything...]
download: [instance/]blobs/[function/]hash/size

`compressed-blobs/zstd` in place of `blobs` is the blob as a zstd stream; hash and size stay the blob's own.
"""

from __future__ import annotations

import attrs

from pytrace_cas.digest import Digest, DigestFunction, MalformedDigest
from pytrace_cas.services.digests import function_of
from pytrace_cas.services.errors import InvalidRequest
from pytrace_proto import remote_execution_pb2 as reapi

RESERVED = frozenset(("blobs", "uploads", "actions", "actionResults", "operations", "capabilities", "compressed-blobs"))
_FUNCTION_NAMES = {name.lower(): number for name, number in reapi.DigestFunction.Value.items() if number}
_LARGEST_SIZE = (1 << 63) - 1
_MOST_DIGITS = len(str(_LARGEST_SIZE))


@attrs.frozen
class ResourceName:
    """What a resource name says: the blob, what made its digest, the instance, and whether it travels as zstd."""

    instance_name: str
    function: DigestFunction
    digest: Digest
    compressed: bool = False


def check_instance_name(name: str) -> str:
    """Return the name if it is one; raise `InvalidRequest`. The empty name is the default instance."""
    if name:
        segments = name.split("/")
        if "" in segments:
            raise InvalidRequest("instance_name", f"{name!r} has an empty segment")
        if taken := RESERVED.intersection(segments):
            raise InvalidRequest("instance_name", f"{name!r} holds the reserved word {min(taken)!r}")
    return name


def is_reserved(name: str) -> bool:
    """Tell whether no request may name that instance: what is kept under it is this server's own."""
    return not RESERVED.isdisjoint(name.split("/"))


def parse_upload(name: str) -> ResourceName:
    """Read the name of an upload; raise `InvalidRequest`."""
    segments = name.split("/")
    at = _first_reserved(name, segments, "uploads")
    if len(segments) < at + 3 or not segments[at + 1]:
        raise _malformed(name, "the upload's uuid is missing")
    return _blob(name, segments[:at], segments[at + 2 :], more=True)


def parse_download(name: str) -> ResourceName:
    """Read the name of a blob to read; raise `InvalidRequest`."""
    segments = name.split("/")
    at = _first_reserved(name, segments, "compressed-blobs" if "compressed-blobs" in segments else "blobs")
    return _blob(name, segments[:at], segments[at:], more=False)


def _first_reserved(name: str, segments: list[str], word: str) -> int:
    try:
        return segments.index(word)
    except ValueError:
        raise _malformed(name, f"it has no segment {word!r}") from None


def _blob(name: str, instance: list[str], segments: list[str], *, more: bool) -> ResourceName:
    """Read from the segment `blobs` on; `more` segments may follow an upload's."""
    if instance == [""]:
        raise _malformed(name, "it begins with a slash")
    if segments[0] == "compressed-blobs":
        compressor = segments[1] if len(segments) > 1 else ""
        if compressor != "zstd":
            raise _malformed(name, f"compressor {compressor!r} is not offered here; zstd is")
        resource = _blob(name, instance, ["blobs", *segments[2:]], more=more)
        return attrs.evolve(resource, compressed=True)
    if segments[0] != "blobs":
        raise _malformed(name, "no segment 'blobs' where it belongs")
    explicit = len(segments) > 1 and segments[1] in _FUNCTION_NAMES
    number = _FUNCTION_NAMES[segments[1]] if explicit else 0
    rest = segments[2 if explicit else 1 :]
    if len(rest) < 2 or (len(rest) > 2 and not more):
        raise _malformed(name, "it has the wrong number of segments")
    function = function_of(number, rest[0])
    return ResourceName(check_instance_name("/".join(instance)), function, _digest(name, function, *rest[:2]))


def _digest(name: str, function: DigestFunction, hash: str, size: str) -> Digest:
    if not (size.isascii() and size.isdigit()) or len(size) > _MOST_DIGITS or int(size) > _LARGEST_SIZE:
        raise _malformed(name, f"{size!r} is no size")
    try:
        return function.check(Digest(hash, int(size)))
    except MalformedDigest as error:
        raise _malformed(name, str(error)) from None


def _malformed(name: str, why: str) -> InvalidRequest:
    return InvalidRequest("resource_name", f"{name!r}: {why}")


def download_name(function: DigestFunction, digest: Digest, instance_name: str = "") -> str:
    """Name a blob for ByteStream.Read."""
    middle = "blobs" if function.inferable else f"blobs/{function.name}"
    return f"{instance_name}/{middle}/{digest}".removeprefix("/")

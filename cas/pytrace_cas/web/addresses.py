# SPDX-License-Identifier: Apache-2.0
"""Addresses of pages and of the API, both ways; those of blobs are bb-browser's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import attrs

from pytrace_cas.digest import FUNCTIONS, Digest, DigestFunction, MalformedDigest
from pytrace_cas.services.digests import check
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.services.resource_names import check_instance_name

if TYPE_CHECKING:
    from collections.abc import Mapping

UI = "/ui/"
API = "/api/v1/"
# 128 hex digits, a sign, and a size of less than 10^18 bytes.
_LONGEST_DIGEST = 147
KINDS = ("action", "command", "directory", "file", "tree")


@attrs.frozen
class BlobAddress:
    """A digest with all that is needed to find it."""

    instance: str
    function: DigestFunction
    digest: Digest

    @classmethod
    def parse(cls, instance: str, function: str, digest: str) -> BlobAddress:
        """Read the parts of an address; raise `InvalidRequest`."""
        check_instance_name(instance)
        found = FUNCTIONS.get(function)
        if found is None:
            raise InvalidRequest("function", f"{function!r} is none of {', '.join(FUNCTIONS)}")
        if len(digest) > _LONGEST_DIGEST:
            raise InvalidRequest("digest", "it is longer than any digest")
        try:
            return cls(instance, found, check(Digest.parse(digest), found))
        except MalformedDigest as error:
            raise InvalidRequest("digest", str(error)) from None

    def other(self, digest: Digest) -> BlobAddress:
        """The address of another blob in the same place."""
        return attrs.evolve(self, digest=digest)

    def of(self, digest: str) -> BlobAddress:
        """The address of a blob whose digest was told by one in the same place; raise `InvalidRequest`."""
        return self.parse(self.instance, self.function.name, digest)

    def page(self, kind: str, **query: str) -> str:
        """The page that shows it as one of `KINDS`, or `download`."""
        instance = f"{quote(self.instance)}/" if self.instance else ""
        path = f"{UI}{instance}blobs/{self.function.name}/{kind}/{self.digest.hash}-{self.digest.size_bytes}/"
        return with_query(path, query)

    def api(self) -> str:
        """Where the API has its bytes."""
        return with_query(f"{API}blobs/{self.function.name}/{self.short()}", self.query())

    def short(self) -> str:
        """The digest as it stands in addresses."""
        return f"{self.digest.hash}-{self.digest.size_bytes}"

    def query(self) -> dict[str, str]:
        """The instance as part of a query, if it has a name."""
        return {"instance": self.instance} if self.instance else {}


def with_query(path: str, query: Mapping[str, str]) -> str:
    """A path and its query; fields without value are left out."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given, errors='surrogateescape')}" if given else path

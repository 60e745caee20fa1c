# SPDX-License-Identifier: Apache-2.0
"""What a remote says is a result, before anything believes it."""

from __future__ import annotations

from pytrace_cas.digest import MalformedDigest
from pytrace_cas.reapi import ActionResult, MalformedMessage
from pytrace_exec.cache.errors import RemoteFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction


def read_result(name: str, function: DigestFunction, message: bytes) -> ActionResult:
    """Read a result with all digests it needs; raise `RemoteFailed`, with the remote's name, if it makes no sense."""
    try:
        result = ActionResult.decode(message)
        for digest in result.needs():
            function.check(digest)
    except (MalformedMessage, MalformedDigest) as error:
        raise RemoteFailed(name, f"it sent a result that makes no sense: {error}") from error
    return result

# SPDX-License-Identifier: Apache-2.0
"""The result of a run that came out otherwise than stored, as far as outputs' digests tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytrace_cas.digest import Digest, MalformedDigest
from pytrace_cas.reapi import ActionResult, OutputFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_cas.digest import DigestFunction


def other_result(stored: ActionResult, differences: Iterable[dict[str, Any]], function: DigestFunction) -> ActionResult:
    """The stored result with what `verify` found in place of what is stored."""
    found = ActionResult.decode(stored.encode())
    for one in differences:
        digest = _digest(one["new"])
        if one["what"] == "exit status":
            found.exit_code = int(one["new"])
        elif one["what"] == "standard output":
            found.stdout_digest, found.stdout_raw = digest, b""
        elif one["what"] == "standard error":
            found.stderr_digest, found.stderr_raw = digest, b""
        else:
            _replace(found, one, digest)
    return found


def _replace(result: ActionResult, one: dict[str, Any], digest: Digest | None) -> None:
    """Put another digest in place of a file's; a file that is none any more is left out, a new one is not named."""
    then = _digest(one["old"])
    name = str(one["path"])
    for file in list(result.output_files):
        if file.digest == then and name.endswith("/" + file.path.removeprefix("./")):
            result.output_files.remove(file)
            if digest is not None:
                result.output_files.append(OutputFile(path=file.path, digest=digest, is_executable=file.is_executable))
            return


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text.rpartition(" ")[2])
    except MalformedDigest:
        return None

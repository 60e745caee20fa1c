# SPDX-License-Identifier: Apache-2.0
"""Which invalidations concern an invocation. Imported only where something was invalidated."""

from __future__ import annotations

import os

from pytrace_cas.recorded.invalidations import invalidations
from pytrace_cas.recorded.places import MalformedText
from pytrace_exec.generations.applying import Generations, is_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.generations import Ledger
    from pytrace_cas.recorded.invalidations import Invalidation
    from pytrace_cas.recorded.places import Places
    from pytrace_exec.invocation import Invocation


def applying(ledger: Ledger, invocation: Invocation) -> Generations:
    """The generations of an invocation by what is known to be invalidated."""
    salted: list[Invalidation] = []
    paths: dict[bytes, list[Invalidation]] = {}
    actions: dict[str, list[Invalidation]] = {}
    others: list[Invalidation] = []
    for one in invalidations(ledger):
        if one.undone is not None:
            continue
        if not _concerns(one, invocation):
            others.append(one)
        elif one.get("action"):
            actions.setdefault(os.fsdecode(one.get("action")[0]), []).append(one)
        elif one.get("path"):
            for place in _places_of(one, invocation.places):
                paths.setdefault(place, []).append(one)
        else:
            salted.append(one)
    return Generations(salted, paths, actions, others)


def _concerns(one: Invalidation, invocation: Invocation) -> bool:
    """Whether all that is known before a look-up fits."""
    words = [os.fsdecode(word) for word in invocation.argv]
    labels = {os.fsencode(f"{key}={value}") for key, value in invocation.options.label}
    return (
        all(_is_command(os.fsdecode(glob), words) for glob in one.get("command"))
        and all(label in labels for label in one.get("label"))
        and all(b"mnemonic=" + name in labels for name in one.get("mnemonic"))
        and all(_has_target(os.fsdecode(target), invocation) for target in one.get("target"))
        and all(is_below(invocation.places.root, root) for root in one.get("root"))
    )


def _is_command(glob: str, words: list[str]) -> bool:
    """A glob fits the words with a space between them, the program as it was called, or its name alone."""
    from fnmatch import fnmatchcase  # costs a hit more than all the rest

    return any(fnmatchcase(text, glob) for text in (" ".join(words), words[0], os.path.basename(words[0])))


def _has_target(wanted: str, invocation: Invocation) -> bool:
    return any(key == "target" and is_target(value, wanted) for key, value in invocation.options.label)


def is_target(target: str, wanted: str) -> bool:
    """Whether a Bazel label is what a label or a pattern (`//a/...`, `//a:all`, `//a:*`) names.

    `//a` is `//a:a`; `@//a` and `@@//a`, the main repository's, are `//a`.
    """
    package, name = _label(target)
    if wanted.endswith("/..."):
        above = _main(wanted.removesuffix("/..."))
        return package == above or package.startswith(above.rstrip("/") + "/")
    wanted_package, wanted_name = _label(wanted)
    return package == wanted_package and (wanted_name in ("all", "*", "all-targets") or name == wanted_name)


def _label(text: str) -> tuple[str, str]:
    package, colon, name = _main(text).partition(":")
    return package, name if colon else package.rpartition("/")[2]


def _main(text: str) -> str:
    """A label without the sign of the main repository."""
    return text.lstrip("@") if text.lstrip("@").startswith("//") else text


def _places_of(one: Invalidation, places: Places) -> set[bytes]:
    """Where an invalidated path is today: from its place, and where it was when it was named."""
    found = set(one.get("at"))
    for encoded in one.get("path"):
        try:
            found.add(places.decode_path(encoded))
        except MalformedText:
            continue
    return found

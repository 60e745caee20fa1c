# SPDX-License-Identifier: Apache-2.0
"""What of a run's facts Bazel does not know: everything but declared inputs, own outputs, and what its key holds.

Bazel's key of an action has its command, its environment and its declared inputs. A sandbox is gone after the action,
and in the next one nothing undeclared can be there: facts below its root are left out.
"""

from __future__ import annotations

import os

from pytrace_cas.recorded.places import Places
from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe.facts import value_of
from pytrace_exec.observe.surroundings import Surroundings
from pytrace_exec.observe.times import holds
from pytrace_exec.observe.view import LiveView
from pytrace_exec.observe.world import under

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytrace_cas.digest import DigestFunction
    from pytrace_exec.bazel.inputs import Declared
    from pytrace_exec.lookup import LookUp
    from pytrace_exec.observe.digest_cache import DigestCache

SANDBOXES = b"/sandbox/"
"""A part of every root that is a sandbox of Bazel's: `OUTPUT_BASE/sandbox/linux-sandbox/7/execroot/NAME`."""

GENERATED = b"/bazel-out/"
"""A part of the path of everything that Bazel's actions make."""

KINDS = frozenset({"access", "attribute", "content", "error", "fact", "link", "listing", "status"})
"""Kinds of facts that Bazel may not know. The others are of the key (variables, identity), of streams, or of what the
run itself changed."""


def beside(look_up: LookUp, declared: Declared, values: Mapping[Subject, bytes]) -> Iterator[tuple[Subject, bytes]]:
    """Each fact that Bazel does not know, with its value as the status command will find it.

    That is the value by which the result is stored, unless it is told in terms of the run's places or options.
    """
    invocation = look_up.invocation
    root = invocation.places.root
    aliases = [alias for alias, _ in declared.aliases()]
    # Of a folder of sources Bazel does not look at what is in it.
    sources = {alias: os.path.realpath(alias) for alias in aliases if GENERATED not in alias and os.path.isdir(alias)}
    known = frozenset(alias for alias in aliases if alias not in sources)
    own = frozenset(invocation.outputs)
    passing = SANDBOXES in root
    above = {parent for place in (*known, root) for parent in ancestors(place)}
    view, around = fresh(look_up.function, None)
    times = {path for subject in values if subject.kind == "order" for path in subject.paths}
    extra = [Subject("status", "times", path) for path in times if under(path, root)]
    for subject in (*values, *extra):
        if subject.kind not in KINDS or _is_option(subject):
            continue
        value = values.get(subject)
        path = subject.paths[0] if subject.paths else None
        if path is not None:
            folder = next((folder for folder in sources if under(path, folder)), None)
            if folder is not None:
                path, value = sources[folder] + path[len(folder) :], None
                subject = Subject(subject.kind, subject.arg, path)
            if (passing and under(path, root)) or holds(known, path) or holds(own, path):
                continue
            # Folders on the way to what is declared come and go with it; what can be written differs in a sandbox.
            if subject.kind != "listing" and path in above:
                continue
            if subject.kind != "listing" and under(path, root) and os.path.isdir(path):
                real = os.path.realpath(path)
                if under(real, root):
                    continue  # made by Bazel
                subject, value = Subject("error", "", real), None
        if value is None or subject.kind in ("link", "listing") or value.startswith(b"symlink "):
            value = value_of(subject, view, around)
        yield subject, value


def ancestors(path: bytes) -> Iterator[bytes]:
    """The folders above a path."""
    while len(path) > 1:
        path = os.path.dirname(path)
        yield path


def _is_option(subject: Subject) -> bool:
    return subject.kind == "fact" and subject.arg.startswith("option ")


def fresh(function: DigestFunction, digests: DigestCache | None) -> tuple[LiveView, Surroundings]:
    """The tree as it is now, and circumstances that are the same for a run and for the status command."""
    around = Surroundings(function, neutral(), {}, lambda what: b"")
    return LiveView(function, digests), around


def neutral() -> Places:
    """Places in whose terms noted facts are written: every path is absolute."""
    return Places(b"/")

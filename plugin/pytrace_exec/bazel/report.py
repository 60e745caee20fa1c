# SPDX-License-Identifier: Apache-2.0
"""After a run or a hit that has declared inputs: which were not used, and what was read beside them.

The second goes into the note of the workspace, for `pytrace bazel-status`, when labels say whose action it is: `target`
and `workspace`, the folder.
"""

from __future__ import annotations

import os

from pytrace_exec.bazel import unused
from pytrace_exec.bazel.beside import beside
from pytrace_exec.bazel.inputs import Declared
from pytrace_exec.bazel.note import Note, NoteFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrace_cas.recorded.subjects import Subject
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.lookup import LookUp


class NotNoted(Exception):
    """What was read beside declared inputs could not be noted; the message says what that costs."""


def note_unseen(invocation: Invocation, store: bytes) -> None:
    """Note an action of which nothing was seen as one to be asked at every build. Raises `NotNoted`."""
    labels = dict(invocation.options.label)
    workspace, target = labels.get("workspace"), labels.get("target")
    if workspace is not None and target is not None:
        try:
            Note(store, os.fsencode(workspace)).record(target, {}, "none", volatile=True)
        except NoteFailed as error:
            raise NotNoted(str(error)) from None


def tell(look_up: LookUp, values: Mapping[Subject, bytes], whole: bool, store: bytes | None) -> None:
    """Write the list of unused inputs, then the note.

    `values`: what the result depends on; `whole`: the run was seen whole and its result can be stored. Else every
    input counts as used, and the action is noted as one to be asked at every build. `store`: a folder that can be
    written, or None. Raises OSError for the list, `NotNoted` for the note.
    """
    invocation = look_up.invocation
    options, declared = invocation.options, invocation.declared
    assert isinstance(declared, Declared)
    if whole and options.unused_inputs_list is not None:
        path = os.path.join(invocation.cwd, options.unused_inputs_list)
        unused.write(path, unused.unused(declared, values, invocation.places.root))
    labels = dict(options.label)
    workspace, target = labels.get("workspace"), labels.get("target")
    if workspace is None or target is None:
        return
    if store is None:
        raise NotNoted(
            "what this action read beside its declared inputs is not noted, since the store cannot be written: "
            "bazel-status will not see it change"
        )
    action = " ".join([target, labels.get("mnemonic", ""), *sorted(map(os.fsdecode, options.output))])
    facts = dict(beside(look_up, declared, values))
    try:
        Note(store, os.fsencode(workspace)).record(action, facts, look_up.function.name, volatile=not whole)
    except NoteFailed as error:
        raise NotNoted(str(error)) from None

# SPDX-License-Identifier: Apache-2.0
"""`pytrace-exec` that also writes down what it observed: `observer.py FILE [OPTIONS] -- COMMAND...`.

It is the wrapper itself, with one thing added: the return value of `miss.observe` is written to FILE as JSON.
"""

from __future__ import annotations

import json
import os
import sys

from pytrace_exec import miss, wrapper

observe = miss.observe


def observe_and_tell(*arguments: object) -> miss.Traced:
    """Observe, and write down what was seen."""
    traced = observe(*arguments)  # type: ignore[arg-type]
    with open(sys.argv[0], "w", encoding="ascii") as file:
        json.dump(told(traced), file)
    return traced


def told(traced: miss.Traced) -> dict[str, object]:
    """What was seen, as text (undecodable bytes as surrogates)."""
    seen = traced.seen
    return {
        "facts": [
            [subject.kind, subject.arg, [os.fsdecode(path) for path in subject.paths], os.fsdecode(value)]
            for subject, value in seen.values.items()
        ],
        "outputs": [
            [one.kind, os.fsdecode(one.path), one.mode, os.fsdecode(one.other), one.in_place, one.times is not None]
            for one in seen.outputs
        ],
        "reasons": sorted({reason.code for reason in seen.reasons}),
    }


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    vars(miss)["observe"] = observe_and_tell
    wrapper.main()

# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.oracle`: play rounds, print shares; end 1 with a script that repeats the first failure.

SIGTERM or an interrupt ends it early, with the shares of what was played.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time

from tests.oracle.generate import GENERATORS
from tests.oracle.soak import Batch, explain, try_all
from tests.support.runner import wrapper_command

TOLD_EVERY = 200


def _tell(rounds: int) -> None:
    """Say now and then how far it is."""
    if rounds % TOLD_EVERY == 0:
        print(f"{rounds} rounds played", flush=True)


def main() -> int:
    """Read the options, play, report."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="of the first round; the others follow")
    parser.add_argument("--strict", action="store_true", help="wrap with --strict")
    parser.add_argument("--only", choices=list(GENERATORS), help="rounds of one generator")
    parser.add_argument("--focus", help="rounds about one kind of fact")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--wrapper", type=shlex.split, default=wrapper_command(), help="the command line of the wrapper"
    )
    parser.add_argument("--tracer", choices=["auto", "native", "strace"], default="auto")
    parser.add_argument("--anew", action="store_true", help="start every program anew, never by a fork: slower")
    options = parser.parse_args()
    wrapper = (*options.wrapper, "--tracer", options.tracer)
    forked = not options.anew
    batch = Batch(options.seed, options.rounds, wrapper, options.strict, options.only, options.focus, forked)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    findings = try_all(batch, options.processes, _tell)
    print(findings.shares.report())
    seconds = time.monotonic() - started
    print(f"{seconds:.0f} s, {findings.shares.rounds / seconds:.1f} rounds a second, tracer {options.tracer}")
    if findings.caught is None:
        return 0
    print(explain(findings.caught, batch.wrapper))
    return 1


if __name__ == "__main__":
    sys.exit(main())

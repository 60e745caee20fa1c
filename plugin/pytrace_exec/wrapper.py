# SPDX-License-Identifier: Apache-2.0
"""`pytrace-exec`: answer a command from the cache, or run it, see what it depended on, and store the result."""

from __future__ import annotations

import os
import signal
import sys
import time

from pytrace_exec.options import UsageError, load_files, parse
from pytrace_exec.standard_streams import StandardStreams, inherited_descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pytrace_exec.invocation import Invocation
    from pytrace_exec.options import Options

FAILED = 125
"""Exit status when the wrapper failed before the command could run."""


def main() -> None:
    """Run the command line in `sys.argv`; ends with the command's status, or by the signal that ended it."""
    started = time.monotonic_ns()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    inherited = inherited_descriptors()
    environ = os.environb
    try:
        options, command = parse(sys.argv[1:], environ)
    except UsageError as error:
        _fail(str(error))
    if options.help or options.version:
        _tell(options)
    if options.mode == "off" and not (options.stats_log or options.explain):
        _become(command)
    streams = StandardStreams(store_folder(options) or b"/tmp", inherited)
    invocation = _invocation(options, command, streams)
    from pytrace_exec.session import Session

    session = Session(invocation, started)
    status = session.run()
    _end(status)


def store_folder(options: Options) -> bytes | None:
    """The store's folder; None when nothing says where it could be."""
    if options.dir is not None:
        return os.path.abspath(options.dir)
    environ = os.environb
    cache = environ.get(b"XDG_CACHE_HOME")
    if cache and cache.startswith(b"/"):
        return os.path.join(cache, b"pytrace")
    home = environ.get(b"HOME")
    return os.path.join(home, b".cache", b"pytrace") if home else None


def _invocation(options: Options, command: list[bytes], streams: StandardStreams) -> Invocation:
    from pytrace_exec.invocation import BadRoot, CommandNotFound, Invocation

    try:
        invocation = Invocation(options, command, os.environb, streams)
        load_files(options, invocation.places.root, os.environb)
        return invocation
    except CommandNotFound as error:
        _fail(str(error), error.status)
    except (BadRoot, UsageError) as error:
        _fail(str(error))
    except FileNotFoundError:
        _become(command)


def _become(command: list[bytes]) -> NoReturn:
    """Run the command in our place, without a cache."""
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execvpe(command[0], command, os.environb)
    except FileNotFoundError:
        _fail(f"{os.fsdecode(command[0])}: not found", 127)
    except OSError as error:
        _fail(f"{os.fsdecode(command[0])}: {error.strerror}", 126)


def _tell(options: Options) -> NoReturn:
    if options.version:
        from pytrace_cas import __version__

        print(f"pytrace-exec {__version__}")
    else:
        from pytrace_exec.option_help import page

        print(page(), end="")
    sys.exit(0)


def _fail(message: str, status: int = FAILED) -> NoReturn:
    sys.stderr.write(f"pytrace-exec: {message}\n")
    sys.exit(status)


def _end(status: int) -> NoReturn:
    """End as the command did."""
    if os.WIFSIGNALED(status):
        from pytrace_exec.tracer.child import end_like

        os._exit(end_like(status))
    os._exit(os.waitstatus_to_exitcode(status))

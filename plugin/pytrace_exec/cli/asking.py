# SPDX-License-Identifier: Apache-2.0
"""A command line as the wrapper would take it: found, with its places and the caller's descriptors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytrace_exec.cli.exit_status import DIFFERENT, USAGE
from pytrace_exec.cli.main import Failed
from pytrace_exec.invocation import CommandNotFound, Invocation
from pytrace_exec.places import BadRoot, find_places
from pytrace_exec.standard_streams import StandardStreams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytrace_exec.options import Options


def asked(
    options: Options,
    command: Sequence[bytes],
    inherited: dict[int, bytes],
    environ: Mapping[bytes, bytes] = os.environb,
    *,
    own_status: bool = False,
) -> Invocation:
    """What `pytrace-exec` would begin with here; raise `Failed` for a command or root that is not there.

    `own_status`: a command that is not there ends as a shell has it, with 126 or 127.
    """
    streams = StandardStreams(environ.get(b"TMPDIR") or b"/tmp", inherited)
    streams.hold_closed()
    try:
        places = find_places(options, os.getcwdb(), environ)
        return Invocation(options, list(command), environ, streams, places)
    except CommandNotFound as error:
        raise Failed(str(error), error.status if own_status else DIFFERENT) from None
    except BadRoot as error:
        raise Failed(str(error), USAGE) from None

# SPDX-License-Identifier: Apache-2.0
"""What empties the tracer's log when this process is killed.

strace tells of every line that it cannot write, on its standard error, which is the command's as well. Where that is a
file of the caller's, left in place, a killed wrapper would fill it with complaints. So a shell holds the log's reading
end too: it sleeps until we are gone, then discards what strace still writes.
"""

from __future__ import annotations

import os
import signal

_WAIT_THEN_DISCARD = b"cd /; read -r line; exec cat <&3"
_ENVIRONMENT = {b"PATH": b"/usr/bin:/bin"}


class LogHolder:
    """One such shell, in a session of its own; without a shell on this machine it holds nothing."""

    __slots__ = ("_pid", "_tie")

    def __init__(self, log: int) -> None:
        """Start it for a log's reading end."""
        waiting, self._tie = os.pipe2(os.O_CLOEXEC)
        actions = [
            (os.POSIX_SPAWN_DUP2, waiting, 0),
            # Opened anew: ours does not wait.
            (os.POSIX_SPAWN_OPEN, 3, b"/proc/self/fd/%d" % log, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, b"/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, b"/dev/null", os.O_WRONLY, 0),
        ]
        try:
            self._pid = os.posix_spawn(
                b"/bin/sh",
                [b"sh", b"-c", _WAIT_THEN_DISCARD],
                _ENVIRONMENT,
                file_actions=actions,
                setsigdef=(signal.SIGPIPE,),
                setsid=True,
            )
        except OSError:
            self._pid = 0
        finally:
            os.close(waiting)

    def end(self) -> None:
        """End it: the log is somebody else's business now, or finished."""
        os.close(self._tie)
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

# SPDX-License-Identifier: Apache-2.0
"""Whether somebody holds a file open to write to it: what lies there may be half of what it will be.

No call tells that, but a read lease is refused on such a file (fcntl(2), "Leases"). It is given back at once; whoever
opens the file in between waits until then, which is told the holder by a signal, here one that is ignored.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal


def has_writer(path: bytes) -> bool:
    """Whether a file is open for writing on this machine; raise `OSError` if it cannot be read.

    No where that cannot be told: without a right to leases (fcntl(2)), and on file systems that have none of their own.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _is_refused(descriptor) and _grants_leases(os.path.dirname(path))
    finally:
        os.close(descriptor)


def _is_refused(descriptor: int) -> bool:
    """Whether no read lease is to be had on a file now, though there are such leases."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _grants_leases(folder: bytes) -> bool:
    """Whether a file without a name that nobody else has can be leased: network file systems refuse as they please."""
    try:
        writer = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        descriptor = os.open(f"/proc/self/fd/{writer}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    finally:
        os.close(writer)
    try:
        return not _is_refused(descriptor)
    finally:
        os.close(descriptor)

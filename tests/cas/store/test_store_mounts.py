# SPDX-License-Identifier: Apache-2.0
"""The kind of a file system, read from the kernel's table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytrace_cas.store import mounts

_NO_SUCH_DEVICE = "999:999"


def _table(*mounted: tuple[str, str]) -> bytes:
    lines = [
        f"{number} 1 {_NO_SUCH_DEVICE[:-1]}{number} / {point} rw shared:1 - {kind} source rw\n"
        for number, (point, kind) in enumerate(mounted)
    ]
    return "".join(lines).encode()


def test_longest_mount_point_wins(tmp_path: Path) -> None:
    here = os.path.realpath(tmp_path)
    table = _table(("/", "ext4"), (here, "nfs4"), (here + "-other", "xfs"))
    assert mounts.kind_of(os.fsencode(tmp_path), table) == "nfs4"


def test_device_number_decides(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    line = f"30 1 {os.major(device)}:{os.minor(device)} / /elsewhere rw - cifs //host/share rw\n"
    assert mounts.kind_of(os.fsencode(tmp_path), _table(("/", "ext4")) + line.encode()) == "cifs"


def test_mount_point_with_a_blank(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    table = _table(("/", "ext4"), (os.path.realpath(folder).replace(" ", "\\040"), "9p"))
    assert mounts.kind_of(os.fsencode(folder), table) == "9p"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "ceph", "lustre", "fuse", "virtiofs"])
def test_kinds_that_hosts_share(kind: str) -> None:
    assert kind in mounts.SHARED


def test_this_machines_own_directory_is_local(tmp_path: Path) -> None:
    assert mounts.shared_kind(os.fsencode(tmp_path)) is None

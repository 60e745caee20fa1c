# SPDX-License-Identifier: Apache-2.0
"""What the tool reads of compressed answers."""

from __future__ import annotations

import pytest

from pytrace_cas.conform.compression import compress, decompress
from pytrace_cas.conform.registry import Broken


def test_frames_that_follow_one_another_are_one_stream() -> None:
    assert decompress(compress(b"a" * 1000) + compress(b"b"), 1001) == b"a" * 1000 + b"b"
    assert decompress(compress(b""), 0) == b""


@pytest.mark.parametrize("data", [b"no frame", compress(b"a" * 1000)[:-3], compress(bytes(1 << 20))])
def test_what_is_no_stream_or_too_much_is_broken(data: bytes) -> None:
    with pytest.raises(Broken):
        decompress(data, 1000)

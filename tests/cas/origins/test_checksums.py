# SPDX-License-Identifier: Apache-2.0
"""`checksum.sri` as the W3C has it."""

from __future__ import annotations

import base64
import hashlib

import pytest

from pytrace_cas.origins import Checksum, ChecksumMismatch, MalformedChecksum


def sri(data: bytes, function: str = "sha256") -> str:
    return f"{function}-{base64.b64encode(hashlib.new(function, data).digest()).decode()}"


def verify(text: str, data: bytes) -> None:
    checksum = Checksum.parse(text)
    state = checksum.begin()
    state.update(data)
    checksum.verify(state)


@pytest.mark.parametrize("function", ["sha256", "sha384", "sha512"])
def test_right_bytes_pass_and_others_do_not(function: str) -> None:
    verify(sri(b"data", function), b"data")
    with pytest.raises(ChecksumMismatch):
        verify(sri(b"data", function), b"other")


def test_any_hash_of_the_strongest_function_serves() -> None:
    verify(f"{sri(b'one', 'sha512')} {sri(b'two', 'sha512')}?opt", b"two")
    with pytest.raises(ChecksumMismatch):
        verify(f"{sri(b'one')} {sri(b'two', 'sha512')}", b"one")


@pytest.mark.parametrize(
    "text", ["", " ", "sha256", "sha256-", "sha256-AAAA", "sha256-!", "md5-" + "A" * 24, "sha1-" + "A" * 28]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(MalformedChecksum):
        Checksum.parse(text)

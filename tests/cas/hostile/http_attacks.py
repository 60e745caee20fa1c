# SPDX-License-Identifier: Apache-2.0
"""Hostile HTTP: bytes on a socket, since well-behaved libraries cannot send them; each with its right answers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pytrace_cas.digest import SHA256
from tests.cas.hostile.zstd_attacks import bad_stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Attack = Callable[[Random], tuple[bytes, frozenset[int]]]

SECONDS = 30
BAD, ABSENT, FORBIDDEN_METHOD = 400, 404, 405
LONGEST_ANSWER = 1 << 16


def answer(address: tuple[str, int], data: bytes, hang_up: bool) -> int | None:
    """Send bytes, and hang up or wait; return the status of the answer, None if there is none."""
    with socket.create_connection(address, timeout=SECONDS) as connection:
        try:
            connection.sendall(data)
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
            head = connection.recv(LONGEST_ANSWER)
        except ConnectionError:
            return None
    return int(head.split()[1]) if head.startswith(b"HTTP/") else None


def _request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: cache", "Connection: close", *headers)
    return "\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape") + body


def _path_tricks(chance: Random) -> tuple[bytes, frozenset[int]]:
    good = chance.randbytes(32).hex()
    path = chance.choice(
        (
            "/cas/../../../etc/passwd",
            "/cas/%2e%2e/%2e%2e/etc/passwd",
            "/cas/..%2f..%2fetc%2fpasswd",
            f"/cas/{good}/../../index.sqlite",
            f"/cas/{good.upper()}",
            f"/cas/{good[:-1]}",
            f"/cas/{good[:-1]}g",
            f"/cas/{good}%00",
            f"/cas/{good}%0d%0aX: y",
            f"//cas//{good}",
            f"/blobs/cas/{good}",
            "/cas/" + "a" * 5000,
            "/ac/",
            "/cas",
            "/index.sqlite",
            "/%ff%fe/cas/" + good,
            "*",
            "/webdav/../../etc/passwd",
            "/webdav/%2e%2e/%2e%2e/etc/passwd",
            f"/webdav/../cas/{good}",
            "/webdav/" + "a/" * 3000,
            "/webdav/%00",
            f"/a/../b/cas/{good}",
            f"/blobs/../cas/{good}",
        )
    )
    return _request(chance.choice(("GET", "HEAD")), path), frozenset({BAD, ABSENT, FORBIDDEN_METHOD})


def _path_tricks_of_writers(chance: Random) -> tuple[bytes, frozenset[int]]:
    """What is stored under a name lies nowhere but in the store, so no file of such a name comes to be."""
    good = SHA256.of(b"hello").hash
    path = chance.choice(
        (
            "/cas/../../escaped",
            "/cas/%2e%2e%2f%2e%2e%2fescaped",
            f"/cas/{good}/../escaped",
            "/ac/..%2fescaped",
            "/escaped",
            f"/../cas/../{good}",
            f"/blobs/cas/{good}",
            f"/cas/{good}%00escaped",
        )
    )
    return _request("PUT", path, "Content-Length: 5", body=b"hello"), frozenset({BAD, ABSENT, FORBIDDEN_METHOD})


def _bombs(chance: Random) -> tuple[bytes, frozenset[int]]:
    """Bytes that expand to far more than is said, or are no zstd at all."""
    body = bad_stream(chance)
    size = chance.choice(("X-Digest-SizeBytes: 100", "X-Digest-SizeBytes: 5000000", "X-No: size"))
    encoding = chance.choice(("zstd", "zstd", "ZSTD", "gzip", "zstd, zstd", "br"))
    headers = (f"Content-Length: {len(body)}", f"Content-Encoding: {encoding}", size)
    return _request("PUT", f"/cas/{chance.randbytes(32).hex()}", *headers, body=body), frozenset({BAD})


def _unknown(chance: Random) -> tuple[bytes, frozenset[int]]:
    return _request("GET", f"/{chance.choice(('cas', 'ac'))}/{chance.randbytes(32).hex()}"), frozenset({ABSENT})


def _methods(chance: Random) -> tuple[bytes, frozenset[int]]:
    method = chance.choice(("DELETE", "POST", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "GETT"))
    wrong = frozenset({BAD, ABSENT, FORBIDDEN_METHOD, 501})
    return _request(method, f"/cas/{chance.randbytes(32).hex()}", "Content-Length: 0"), wrong


def _wrong_body(chance: Random) -> tuple[bytes, frozenset[int]]:
    body = chance.randbytes(chance.choice((1, 1000, 70_000)))
    path = f"/cas/{SHA256.of(body + b'x').hash}"
    return _request("PUT", path, f"Content-Length: {len(body)}", body=body), frozenset({BAD})


def _half_a_body(chance: Random) -> tuple[bytes, frozenset[int]]:
    """The client hangs up in the middle; whether it gets an answer is all one."""
    body = chance.randbytes(50_000)
    data = _request("PUT", f"/cas/{SHA256.of(body).hash}", f"Content-Length: {len(body)}", body=body[:20_000])
    return data, frozenset({BAD, 408, 499})


def _lengths(chance: Random) -> tuple[bytes, frozenset[int]]:
    length = chance.choice(("-1", "1e3", "0x10", "99999999999999999999", "1, 2", "", "+5"))
    path = f"/cas/{chance.randbytes(32).hex()}"
    return _request("PUT", path, f"Content-Length: {length}", body=b"hello"), frozenset({BAD, 413, 507})


def _two_lengths(chance: Random) -> tuple[bytes, frozenset[int]]:
    path = f"/cas/{chance.randbytes(32).hex()}"
    headers = ("Content-Length: 5", "Transfer-Encoding: chunked")
    return _request("PUT", path, *headers, body=b"5\r\nhello\r\n0\r\n\r\n"), frozenset({BAD})


def _chunks(chance: Random) -> tuple[bytes, frozenset[int]]:
    body = chance.choice((b"zz\r\nhello\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n", b"5\r\nhel"))
    return _request("PUT", f"/cas/{chance.randbytes(32).hex()}", "Transfer-Encoding: chunked", body=body), frozenset(
        {BAD, 408, 413, 499}
    )


def _headers(chance: Random) -> tuple[bytes, frozenset[int]]:
    header = chance.choice(("X: " + "a" * 200_000, "no colon", ": empty", "X: \x00", "X\x00: y"))
    return _request("GET", f"/cas/{chance.randbytes(32).hex()}", header), frozenset({BAD, ABSENT, 431})


def _garbage(chance: Random) -> tuple[bytes, frozenset[int]]:
    return chance.randbytes(chance.choice((1, 100, 3000))) + b"\r\n\r\n", frozenset({BAD})


ATTACKS: tuple[Attack, ...] = (
    _path_tricks, _path_tricks_of_writers, _bombs, _unknown, _methods, _wrong_body,
    _half_a_body, _lengths, _two_lengths, _chunks, _headers, _garbage,
)  # fmt: skip
HANG_UP = frozenset({_half_a_body, _chunks, _garbage})
"""Those who hang up once they have sent what they have; they may get no answer."""

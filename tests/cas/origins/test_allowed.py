# SPDX-License-Identifier: Apache-2.0
"""Which origins may be fetched from, however a URL is written, and which addresses a star admits."""

from __future__ import annotations

import pytest

from pytrace_cas.origins import AllowedOrigin, AllowList, MalformedOrigin, NotAllowed
from pytrace_cas.origins.allowed import check_addresses


def allowing(*entries: str) -> AllowList:
    return AllowList(tuple(AllowedOrigin.parse(entry) for entry in entries))


@pytest.mark.parametrize(
    "text", ["https://example.org", "http://a.b:81", "https://*.example.org", "http://*", "http://[::1]:5"]
)
def test_an_origin_is_written_as_it_is_read(text: str) -> None:
    assert str(AllowedOrigin.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "example.org", "file:///etc", "ftp://a", "https://", "https://a/b", "https://u@a", "https://a?b", "https://a:x",
     "https://a*.b", "https://*.*", "https://a b"],
)  # fmt: skip
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(MalformedOrigin):
        AllowedOrigin.parse(text)


@pytest.mark.parametrize(
    ("entry", "url", "path"),
    [
        ("https://example.org", "https://example.org/a/b?c=d", "/a/b?c=d"),
        ("https://example.org", "https://EXAMPLE.org:443", "/"),
        ("https://example.org", "https://example.org/a%20b/\u00e9#part", "/a%20b/%C3%A9"),
        ("http://example.org:81", "http://example.org:81/", "/"),
        ("https://*.example.org", "https://a.b.example.org/x", "/x"),
        ("http://*", "http://anything/x", "/x"),
        ("http://[::1]:5", "http://[::1]:5/x", "/x"),
    ],
)
def test_what_an_entry_admits(entry: str, url: str, path: str) -> None:
    target = allowing(entry).target(url)
    assert target.path == path
    assert target.listed is ("*" not in entry)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "https://example.org:444/", "https://example.org.evil/", "https://evil/example.org",
        "https://evilexample.org/", "https://example.org@evil/", "https://evil\\@example.org/", "https://example.org\t/",
        "https://u:p@example.org/", "file:///etc/passwd", "FILE:///etc/passwd", "ftp://example.org/", "//example.org/",
        "urn:a:b", "https:example.org", "https:///example.org", "https://example.org:0/", "https://example.org:99999/",
        "gopher://example.org", "https://example.org\r\nX: y", "",
    ],
)  # fmt: skip
def test_what_it_does_not(url: str) -> None:
    with pytest.raises(NotAllowed):
        allowing("https://example.org", "https://*.example.com").target(url)


def test_an_empty_list_admits_nothing() -> None:
    with pytest.raises(NotAllowed):
        AllowList().target("https://example.org/")


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_star_does_not_lead_to_private_addresses(address: str) -> None:
    target = allowing("https://*.example.org").target("https://a.example.org/")
    with pytest.raises(NotAllowed):
        check_addresses(target, ["93.184.216.34", address])
    check_addresses(target, ["93.184.216.34", "2606:2800:220:1::1"])


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_on_the_list_may(address: str) -> None:
    check_addresses(allowing("https://*", "https://intern").target("https://intern/"), [address])

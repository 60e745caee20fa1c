# SPDX-License-Identifier: Apache-2.0
"""What the files of access say, which ones are refused, and that no message has a secret in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.access import AccessSettings, BadAccessFile, UselessOption
from pytrace_cas.access.certificates import Certificates
from pytrace_cas.access.guard import Guard
from pytrace_cas.access.identity import Identity
from pytrace_cas.access.passwords import Passwords
from pytrace_cas.access.rights import EVERYBODY_ALL, NONE, READ_ONLY, Right, Rights
from pytrace_cas.access.rights import read as read_rights
from pytrace_cas.access.tokens import Tokens
from pytrace_cas.access.web_tokens import WebTokens
from pytrace_cas.listening import Address
from tests.support.credentials import Authority, Issuer, htpasswd, rights

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "0123456789abcdef-secret"
SECRET = "hunter2-hunter2-hunter2"


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    """Write a file and return its path."""

    def write(text: str) -> str:
        path = tmp_path / "file"
        path.write_text(text)
        return str(path)

    return write


def test_passwords_are_checked(file: Callable[[str], str]) -> None:
    passwords = Passwords.read(file("# people\n\n" + htpasswd(ann="secret", bob="other:with:colons")))
    assert passwords.check("ann", b"secret") == Identity("ann", "password")
    assert passwords.check("bob", b"other:with:colons") == Identity("bob", "password")
    for name, password in (("ann", b"other"), ("nobody", b"secret"), ("nobody", b""), ("ann", b""), ("ann", b"\0")):
        assert passwords.check(name, password) is None


def test_a_long_password_counts_as_far_as_bcrypt_reads_it(file: Callable[[str], str]) -> None:
    passwords = Passwords.read(file(htpasswd(ann="x" * 72)))
    assert passwords.check("ann", b"x" * 100) == Identity("ann", "password")
    assert passwords.check("ann", b"x" * 71) is None


@pytest.mark.parametrize(
    "line",
    [
        SECRET,
        f"ann:{SECRET}",
        "ann:$apr1$abcdefgh$" + SECRET[:22],
        "ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "ann:$2y$31$" + "a" * 53,
        "ann:$2y$04$" + "a" * 52,
        ":$2y$04$" + "a" * 53,
        htpasswd(ann="twice").strip(),
    ],
    ids=["no hash", "clear", "apr1", "sha", "cost", "short", "nobody", "twice"],
)
def test_bad_passwords_are_told_by_line(file: Callable[[str], str], line: str) -> None:
    with pytest.raises(BadAccessFile) as raised:
        Passwords.read(file("# one\n" + htpasswd(ann="good") + line + "\n"))
    assert "line 3" in raised.value.why
    assert SECRET not in str(raised.value)


def test_tokens_in_clear_and_hashed(file: Callable[[str], str]) -> None:
    hashed = hashlib.sha256(b"another-secret-token").hexdigest()
    tokens = Tokens.read(file(f"ci:{TOKEN}\nci:{TOKEN}2\nbot:sha256:{hashed}\n"))
    assert tokens.check(TOKEN) == tokens.check(f"{TOKEN}2") == Identity("ci", "token")
    assert tokens.check("another-secret-token") == Identity("bot", "token")
    for wrong in ("", TOKEN[:-1], TOKEN.upper(), hashed, f"sha256:{hashed}", "\udcff"):
        assert tokens.check(wrong) is None


@pytest.mark.parametrize("line", ["ci", "ci:short", f"ci:{SECRET} x", f"other:{TOKEN}", "ci:sha256:abc", "ci:"])
def test_bad_tokens_are_told_by_line(file: Callable[[str], str], line: str) -> None:
    with pytest.raises(BadAccessFile) as raised:
        Tokens.read(file(f"ci:{TOKEN}\n{line}\n"))
    assert "line 2" in raised.value.why
    assert TOKEN not in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key.pop("kid"),
        lambda key: key.update(kid=""),
        lambda key: key.update(kty="oct", k="c2VjcmV0"),
        lambda key: key.update(alg="HS256"),
        lambda key: key.update(n="AQAB"),
        lambda key: key.update(n="?"),
        lambda key: key.update(d="AQAB"),
        lambda key: key.update(kid="es256"),
        lambda key: key.update(kty="EC", crv="P-384"),
    ],
)
def test_bad_keys_are_refused(file: Callable[[str], str], change: Callable[[dict[str, str]], object]) -> None:
    keys = Issuer().jwks()
    change(keys["keys"][0])
    with pytest.raises(BadAccessFile):
        WebTokens.read(file(json.dumps(keys)), None, None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": []}', '{"keys": 1}', '{"keys": [1]}', "\x00"])
def test_what_is_no_key_set_is_refused(file: Callable[[str], str], text: str) -> None:
    with pytest.raises(BadAccessFile):
        WebTokens.read(file(text), None, None)


def test_keys_for_encryption_are_passed_over(file: Callable[[str], str]) -> None:
    issuer = Issuer()
    keys = [issuer.jwk("ES256") | {"use": "enc"}, issuer.jwk("RS256") | {"use": "sig"}]
    tokens = WebTokens.read(file(json.dumps({"keys": keys})), "cache", None)
    assert tokens.check(issuer.token("RS256"))
    assert tokens.check(issuer.token("ES256")) is None


def test_rights_add_up_and_go_by_instance(file: Callable[[str], str]) -> None:
    text = rights(
        ("ann", "team/*", ["read", "cas"]), ("ann", "team/a", ["ac"]), ("*", "shared", ["read"]), ("bob", "", ["ac"])
    )
    table = Rights(read_rights(file(text)), NONE)
    ann, bob = Identity("ann", "token"), Identity("bob", "token")
    assert table.of(ann, "team/a") == set(Right)
    assert table.of(ann, "team/b/c") == {Right.READ, Right.CAS}
    for elsewhere in ("", "team", "teams/a", "x/team/a", "team\n/a", "TEAM/a"):
        assert table.of(ann, elsewhere) == NONE
    assert table.of(ann, "shared") == table.of(bob, "shared") == READ_ONLY
    assert table.of(bob, "") == {Right.AC}
    assert table.of(None, "shared") == NONE
    assert table.anywhere(ann) == set(Right)
    assert table.anywhere(Identity("eve", "token")) == READ_ONLY


def test_a_grant_may_ask_how_an_identity_was_shown(file: Callable[[str], str]) -> None:
    text = '[[grant]]\nidentity = "admin"\nby = "certificate"\nrights = ["ac"]\n'
    table = Rights(read_rights(file(text)), NONE)
    assert table.of(Identity("admin", "certificate"), "any") == {Right.AC}
    assert table.of(Identity("admin", "jwt"), "any") == NONE


def test_whoever_shows_credentials_may_do_no_less_than_who_does_not(file: Callable[[str], str]) -> None:
    table = Rights(read_rights(file(rights(("ann", "team/*", ["cas"])))), READ_ONLY)
    assert table.of(None, "other") == table.of(Identity("ann", "token"), "other") == READ_ONLY


def test_what_is_remembered_of_instances_is_bounded() -> None:
    table = Rights([EVERYBODY_ALL], NONE)
    for number in range(10_000):
        table.of(Identity("ann", "token"), str(number))
    assert len(table._known) <= 4096


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "grant = 1",
        'other = "x"',
        "[[grant]]\n",
        '[[grant]]\nidentity = "a"\n',
        '[[grant]]\nidentity = "a"\nrights = []\n',
        '[[grant]]\nidentity = "a"\nrights = ["write"]\n',
        '[[grant]]\nidentity = "a"\nrights = [["read"]]\n',
        '[[grant]]\nidentity = "a"\nrights = "read"\n',
        '[[grant]]\nidentity = "a"\nrights = ["read"]\ninstance = 1\n',
        '[[grant]]\nidentity = "a"\nrights = ["read"]\nby = "magic"\n',
        '[[grant]]\nidentity = "a"\nrights = ["read"]\ninstances = "x"\n',
        '[[grant]]\nidentity = ""\nrights = ["read"]\n',
    ],
)
def test_bad_rights_are_refused(file: Callable[[str], str], text: str) -> None:
    with pytest.raises(BadAccessFile):
        read_rights(file(text))


def test_the_example_of_rights_is_one() -> None:
    assert read_rights(str(Path(__file__).parents[3] / "examples" / "rights.toml"))


def test_certificates_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = map(str, authority.issue("a", "localhost"))
    _, other = map(str, authority.issue("b", "localhost"))
    bad = tmp_path / "bad"
    bad.write_text("no certificate")
    Certificates(AccessSettings(cert, key, str(authority.file)))
    for settings in (
        AccessSettings(cert, other),
        AccessSettings(cert, str(bad)),
        AccessSettings(str(bad), key),
        AccessSettings(cert, str(tmp_path / "none")),
        AccessSettings(cert, key, str(bad)),
    ):
        with pytest.raises(BadAccessFile):
            Certificates(settings)


def test_options_that_would_do_nothing_are_refused() -> None:
    for settings in (
        AccessSettings(tls_cert_file="c"),
        AccessSettings(tls_key_file="k"),
        AccessSettings(tls_ca_file="a"),
        AccessSettings(jwt_audience="a"),
        AccessSettings(jwt_issuer="i"),
        AccessSettings(rights_file="r"),
        AccessSettings(tls_cert_file="c", tls_key_file="k", rights_file="r"),
        AccessSettings(allow_unauthenticated_reads=True),
    ):
        with pytest.raises(UselessOption):
            settings.check()
    AccessSettings("c", "k", "a", rights_file="r", allow_unauthenticated_reads=True).check()


def test_a_bad_file_leaves_the_rules_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"ci:{TOKEN}\n")
    guard = Guard(AccessSettings(bearer_token_file=str(file)))
    file.write_text("nonsense")
    with pytest.raises(BadAccessFile):
        guard.read()
    assert guard._rules.credentials.check(f"Bearer {TOKEN}") == Identity("ci", "token")


@pytest.mark.parametrize(
    ("settings", "warnings"),
    [
        (AccessSettings(), 1),
        (AccessSettings("c", "k"), 1),
        (AccessSettings(htpasswd_file="p"), 1),
        (AccessSettings("c", "k", htpasswd_file="p"), 0),
        (AccessSettings("c", "k", "a"), 0),
        (AccessSettings("c", "k", "a", allow_unauthenticated_reads=True), 1),
    ],
)
def test_what_others_can_reach_is_warned_of(settings: AccessSettings, warnings: int) -> None:
    assert len(settings.warnings(beyond_loopback=True)) == warnings
    assert AccessSettings().warnings(beyond_loopback=False) == []


def test_which_addresses_are_local() -> None:
    addresses = (
        "127.0.0.1:1",
        "127.9.9.9:1",
        "[::1]:1",
        "localhost:1",
        "unix:/x",
        "0.0.0.0:1",
        "[::]:1",
        "10.0.0.1:1",
        "h:1",
    )
    assert [Address.parse(text).is_local for text in addresses] == [True] * 5 + [False] * 4

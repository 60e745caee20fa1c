# SPDX-License-Identifier: Apache-2.0
"""Remotes over TLS, with certificates on either side."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.reapi import ActionResult
from tests.exec.cache.conftest import Open
from tests.support.foreign_grpc import ForeignCache, foreign_grpc
from tests.support.foreign_http import ForeignHttp, foreign_http

KEY = SHA256.of(b"a key")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for loopback that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    made = ("openssl", "req", "-x509", *curve, "-nodes", *subject, "-out", cert, "-keyout", key)
    subprocess.run(made, check=True, capture_output=True)
    return cert, key


@contextmanager
def served(scheme: str, cert: Path, key: Path) -> Iterator[str]:
    """Serve an empty cache that wants its clients to have the same certificate."""
    if scheme == "grpcs":
        pairs = [(key.read_bytes(), cert.read_bytes())]
        credentials = grpc.ssl_server_credentials(pairs, cert.read_bytes(), require_client_auth=True)
        with foreign_grpc(ForeignCache(), credentials=credentials) as url:
            yield url
    else:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(cert))
        context.load_cert_chain(cert, key)
        context.verify_mode = ssl.CERT_REQUIRED
        with foreign_http(ForeignHttp(), context) as url:
            yield url


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
def test_both_sides_show_certificates(tiered: Open, certificate: tuple[Path, Path], scheme: str) -> None:
    cert, key = certificate
    flags = ("--remote-ca", str(cert), "--remote-cert", str(cert), "--remote-key", str(key))
    with served(scheme, cert, key) as url:
        near = tiered("near", url, *flags)
        assert near.tiers[-1].put_result(KEY, ActionResult(exit_code=3))
        assert near.tiers[-1].get_result(KEY) == ActionResult(exit_code=3)
        assert near.troubles == []


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
def test_a_server_that_nobody_vouches_for_is_not_used(
    tiered: Open, certificate: tuple[Path, Path], scheme: str
) -> None:
    with served(scheme, *certificate) as url:
        near = tiered("near", url)
        assert near.tiers[-1].get_result(KEY) is None
    assert [trouble.code for trouble in near.troubles] == ["remote_failed"]

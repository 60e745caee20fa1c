# SPDX-License-Identifier: Apache-2.0
"""Certificates, passwords, tokens and rights for servers that ask who calls."""

from __future__ import annotations

import base64
import json
import ssl
import time
from typing import TYPE_CHECKING, Any

import attrs
import bcrypt
import grpc
import jwt
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# The cheapest that bcrypt has.
COST = 4


@attrs.frozen
class Authority:
    """A certificate authority whose files are in a folder."""

    folder: Path
    ca: trustme.CA = attrs.field(factory=trustme.CA)

    @property
    def file(self) -> Path:
        """Its own certificate."""
        path = self.folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(path))
        return path

    def issue(self, name: str, *hosts: str, common_name: str | None = None) -> tuple[Path, Path]:
        """Write a certificate and its key under that name; return both paths."""
        # An extension without names is malformed, which Java finds.
        leaf = self.ca.issue_cert(*(hosts or (f"{name}.example",)), common_name=common_name)
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        return cert, key

    def issue_uri(self, name: str, uri: str) -> tuple[Path, Path]:
        """Write one whose only name is a URI, as SPIFFE has it."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        signer = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        certificate = (
            x509.CertificateBuilder(issuer.subject, x509.Name([]), key.public_key(), x509.random_serial_number())
            .not_valid_before(issuer.not_valid_before_utc)
            .not_valid_after(issuer.not_valid_after_utc)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
            .sign(signer, hashes.SHA256())
        )
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
        return paths

    def tls_options(self, *, clients: bool) -> tuple[str, ...]:
        """Give a server a certificate for loopback; with `clients`, have it ask for theirs."""
        cert, key = self.issue("server", "localhost", "127.0.0.1")
        asked = ("--tls-ca-file", str(self.file)) if clients else ()
        return ("--tls-cert-file", str(cert), "--tls-key-file", str(key), *asked)

    def channel_credentials(self, client: tuple[Path, Path] | None = None) -> grpc.ChannelCredentials:
        """Trust this authority, and show a client's certificate."""
        cert, key = (path.read_bytes() for path in client) if client else (None, None)
        return grpc.ssl_channel_credentials(self.file.read_bytes(), key, cert)

    def context(self, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """Do the same over HTTP."""
        context = ssl.create_default_context(cafile=str(self.file))
        if client:
            context.load_cert_chain(*client)
        return context


def htpasswd(**passwords: str) -> str:
    """Write a password file as `htpasswd -B` does."""
    return "".join(
        f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST)).decode().replace('$2b$', '$2y$')}\n"
        for name, password in passwords.items()
    )


def basic(name: str, password: str) -> str:
    """Make the value of an Authorization header."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def rights(*grants: tuple[str, str, Sequence[str]]) -> str:
    """Write a file of rights: identity, instance, rights each."""
    return "".join(
        f"[[grant]]\nidentity = {json.dumps(identity)}\ninstance = {json.dumps(instance)}\nrights = {list(words)}\n\n"
        for identity, instance, words in grants
    )


class Issuer:
    """Signs tokens with a key of each kind, and publishes the public ones."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {
            "RS256": rsa.generate_private_key(65537, 2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }

    def jwks(self) -> dict[str, Any]:
        """Give the key set: each key's `kid` is its algorithm in lower case."""
        return {"keys": [self.jwk(name) for name in self.keys]}

    def jwk(self, name: str) -> dict[str, Any]:
        """Give one public key."""
        found: dict[str, Any] = jwt.get_algorithm_by_name(name).to_jwk(self.keys[name].public_key(), as_dict=True)
        return {key: value for key, value in found.items() if key != "key_ops"} | {"kid": name.lower()}

    def public_pem(self, name: str) -> bytes:
        """Give one public key as PEM."""
        pem: bytes = (
            self.keys[name]
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return pem

    def token(self, name: str = "RS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign a token that is good for a minute for "jane", unless the claims say otherwise; None leaves one out."""
        payload = {"sub": "jane", "exp": time.time() + 60, "aud": "cache", "iss": "issuer"} | claims
        payload = {key: value for key, value in payload.items() if value is not None}
        return jwt.encode(payload, self.keys[name], name, headers={"kid": name.lower()} | (headers or {}))
